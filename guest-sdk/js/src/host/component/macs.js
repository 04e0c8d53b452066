export * from 'keyward:policy/macs@0.1.0';
