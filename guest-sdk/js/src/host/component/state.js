export * from 'keyward:policy/state@0.1.0';
