export * from 'keyward:policy/tokens@0.1.0';
