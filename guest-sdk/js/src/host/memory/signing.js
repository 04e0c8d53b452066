import { world } from './world.js';

export const sign = (key, data) => world().sign(key, data);
