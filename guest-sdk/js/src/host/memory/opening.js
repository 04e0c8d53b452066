import { result, world } from './world.js';

export const decrypt = (key, data, aad) => world().unseal(key, data, 'policy', aad);
export const decryptMany = (key, items) =>
  items.map(({ data, aad }) => result(() => decrypt(key, data, aad)));
