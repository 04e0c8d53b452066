import { world } from './world.js';

export const get = (name) => world().state.get(name);
export const put = (name, value, ttl) => world().state.put(name, value, ttl);
export const putIf = (name, value, ttl, revision) => world().state.put(name, value, ttl, revision);
export const add = (name, amount, ttl) => world().state.add(name, amount, ttl);
export const remove = (name, revision) => world().state.remove(name, revision);
