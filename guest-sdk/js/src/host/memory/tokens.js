import { randomInt } from 'node:crypto';

import { world } from './world.js';

export const tokenize = (key, alphabet, tweak, text) => world().shift(key, alphabet, tweak, text, 1);
export const reveal = (key, alphabet, tweak, token) => world().shift(key, alphabet, tweak, token, -1);
export const random = (alphabet, length) => {
  const characters = [...alphabet];
  return Array.from({ length }, () => characters[randomInt(characters.length)]).join('');
};
