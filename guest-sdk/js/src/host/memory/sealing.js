import { result, world } from './world.js';

export const encrypt = (key, data, aad) => world().seal(key, data, 'policy', aad);
export const encryptMany = (key, items) =>
  items.map(({ data, aad }) => result(() => encrypt(key, data, aad)));
