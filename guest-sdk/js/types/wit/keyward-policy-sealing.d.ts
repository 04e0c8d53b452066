/** @module Interface keyward:policy/sealing@0.1.0 **/
/**
 * Encrypts with a key of any algorithm that encrypts: the AEADs, the deterministic one, and
 * those that encrypt to a public key. `invalid` with any other.
 */
export function encrypt(key: Key, data: Uint8Array, aad: Uint8Array): Uint8Array;
/**
 * Many at once; results in the order of the items.
 */
export function encryptMany(key: Key, items: Array<Plaintext>): Array<Result<Uint8Array, Error>>;
export type Error = import('./keyward-policy-types.js').Error;
export type Key = import('./keyward-policy-keys.js').Key;
export interface Plaintext {
  data: Uint8Array,
  aad: Uint8Array,
}
export type Result<T, E> = { tag: 'ok', val: T } | { tag: 'err', val: E };
