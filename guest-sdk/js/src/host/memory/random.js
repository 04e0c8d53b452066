import { randomBytes } from 'node:crypto';

const MAX = 64 << 10;

export function bytes(length) {
  if (length > MAX) {
    throw new RangeError(`at most ${MAX} random bytes in one call`);
  }
  return new Uint8Array(randomBytes(length));
}
