import { world } from './world.js';

export const open = (name) => world().open(name);
export const openVersion = (name, version) => world().open(name, version);
