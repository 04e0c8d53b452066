export * from 'keyward:policy/log@0.1.0';
