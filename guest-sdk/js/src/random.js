// Importing this module is the permission `keyward:policy/random`.

import * as host from '#host/random';

import { call, grant } from './permissions.js';

grant('random', host);

/** Random bytes from the host's cryptographic generator, at most 64 KiB. */
export function randomBytes(length) {
  return call('random', 'bytes', length);
}
