export * from 'keyward:policy/index@0.1.0';
