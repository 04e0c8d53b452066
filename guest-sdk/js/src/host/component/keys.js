export * from 'keyward:policy/keys@0.1.0';
