// Importing this module is the permission `keyward:policy/tokens`: it lets `Key.tokenize` and
// `Key.reveal` work.

import * as host from '#host/tokens';

import { call, grant } from './permissions.js';

grant('tokens', host);

export const DIGITS = '0123456789';

/** Random characters of an alphabet, 1 to 1,024. They stand for nothing. */
export function randomToken(alphabet, length) {
  return call('tokens', 'random', alphabet, length);
}
