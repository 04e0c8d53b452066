// Importing this module is the permission `keyward:policy/recipients`.

import * as host from '#host/recipients';

import { bytes } from './bytes.js';
import { call, grant } from './permissions.js';

grant('recipients', host);

/** Encrypts to a public key (HPKE, DER) whose private half the host does not have. */
export function sealTo(publicKey, data, { info = '', aad = '' } = {}) {
  return call('recipients', 'seal', bytes(publicKey), bytes(info), bytes(aad), bytes(data));
}
