// Importing this module is the permission `keyward:policy/state`: what a policy remembers from one
// request to the next, the tenant's own. Each call asks the key store.

import * as host from '#host/state';

import { bytes, own } from './bytes.js';
import { call, grant } from './permissions.js';

grant('state', host);

const seconds = (ttl) => (ttl === undefined ? undefined : BigInt(ttl));

/** A life `ttl` is in seconds; without one, an entry stays. */
export const state = {
  /** `{ value, revision }`, or undefined. */
  get(name) {
    const entry = call('state', 'get', name);
    return entry && { value: own(entry.value), revision: entry.revision };
  },

  /** Writes, whatever was there; gives the new revision. */
  put(name, value, { ttl } = {}) {
    return call('state', 'put', name, bytes(value), seconds(ttl));
  },

  /** Writes if the entry is at this revision still, with 0n if there is none; else throws Conflict. */
  putIf(name, value, revision, { ttl } = {}) {
    return call('state', 'putIf', name, bytes(value), seconds(ttl), BigInt(revision));
  },

  /** Adds to a counter in one step; gives what it is then, exact up to 2^53. */
  add(name, amount = 1, { ttl } = {}) {
    return Number(call('state', 'add', name, BigInt(amount), seconds(ttl)));
  },

  /** Removes an entry, if it is at this revision still when one is given; else throws Conflict. */
  remove(name, revision) {
    call('state', 'remove', name, revision);
  },
};
