/** @module Interface keyward:policy/state@0.1.0 **/
/**
 * The entry called `name`: 1 to 256 bytes. None if there is none, or its time is over.
 */
export function get(name: string): Entry | undefined;
/**
 * Writes an entry, whatever was there. It is gone after `ttl` seconds; none: it stays. The result
 * is the new revision. `denied` when the tenant has as many entries as it may.
 */
export function put(name: string, value: Uint8Array, ttl: bigint | undefined): bigint;
/**
 * The same, if the entry is at `revision` still, or, with 0, if there is none; `conflict`
 * otherwise, and nothing is written.
 */
export function putIf(name: string, value: Uint8Array, ttl: bigint | undefined, revision: bigint): bigint;
/**
 * Adds to a counter in one step, and gives what it is then. One that is not there, or whose time
 * is over, begins at 0 and lives for `ttl` seconds from then on; adding does not lengthen that.
 * `invalid` if the entry is no counter, or would leave the range of a signed 64-bit integer. A
 * counter's value is 8 bytes, the integer in big-endian order.
 */
export function add(name: string, amount: bigint, ttl: bigint | undefined): bigint;
/**
 * Removes an entry, if it is at `revision` still when one is given; `conflict` otherwise. What is
 * not there is removed.
 */
export function remove(name: string, revision: bigint | undefined): void;
export type Error = import('./keyward-policy-types.js').Error;
export interface Entry {
  /**
   * At most 4 KiB.
   */
  value: Uint8Array,
  /**
   * Changes with every write, and is not used again for this name: what `put-if` compares.
   */
  revision: bigint,
}
