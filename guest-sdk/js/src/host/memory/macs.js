import { world } from './world.js';

export const mac = (key, data) => world().tag(key, key.number, 'mac', data);
export const verify = (key, data, tag) => world().isTag(key, data, tag);
