import { world } from './world.js';

export const verify = (key, data, signature) => world().signer(key, data, signature);
export const publicKey = (key) => world().publicKey(key);
