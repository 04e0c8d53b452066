export * from 'keyward:policy/opening@0.1.0';
