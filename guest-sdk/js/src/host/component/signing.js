export * from 'keyward:policy/signing@0.1.0';
