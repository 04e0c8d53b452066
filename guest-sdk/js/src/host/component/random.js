export * from 'keyward:policy/random@0.1.0';
