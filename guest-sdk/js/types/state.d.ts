import type { Data } from './index.js';

/** `ttl` is a life in seconds; without one, an entry stays. */
interface Life {
  ttl?: number;
}

/** What a policy remembers from one request to the next, the tenant's own. */
export const state: {
  get(name: string): { value: Uint8Array; revision: bigint } | undefined;
  /** Writes, whatever was there; gives the new revision. */
  put(name: string, value: Data, life?: Life): bigint;
  /** Writes if the entry is at this revision still, with 0n if there is none; else throws Conflict. */
  putIf(name: string, value: Data, revision: bigint, life?: Life): bigint;
  /** Adds to a counter in one step; gives what it is then, exact up to 2^53. */
  add(name: string, amount?: number, life?: Life): number;
  /** Removes an entry, if it is at this revision still when one is given; else throws Conflict. */
  remove(name: string, revision?: bigint): void;
};
