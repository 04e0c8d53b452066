import { world } from './world.js';

export const seal = (publicKey, info, aad, data) => world().sealTo(publicKey, info, aad, data);
