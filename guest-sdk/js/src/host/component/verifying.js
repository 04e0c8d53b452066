export * from 'keyward:policy/verifying@0.1.0';
