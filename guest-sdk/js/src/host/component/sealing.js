export * from 'keyward:policy/sealing@0.1.0';
