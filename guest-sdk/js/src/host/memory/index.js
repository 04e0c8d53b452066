import { world } from './world.js';

const at = (key, number, label, value) =>
  world().tag(key, number, 'term', label, value).subarray(0, 32);

export const term = (key, label, value) => at(key, key.number, label, value);
export const terms = (key, label, value) =>
  key.usable().map((number) => at(key, number, label, value));
