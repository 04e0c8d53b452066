export * from 'keyward:policy/recipients@0.1.0';
