/** @module Interface keyward:policy/opening@0.1.0 **/
export function decrypt(key: Key, data: Uint8Array, aad: Uint8Array): Uint8Array;
/**
 * Many at once; results in the order of the items.
 */
export function decryptMany(key: Key, items: Array<Ciphertext>): Array<Result<Uint8Array, Error>>;
export type Error = import('./keyward-policy-types.js').Error;
export type Key = import('./keyward-policy-keys.js').Key;
export interface Ciphertext {
  data: Uint8Array,
  aad: Uint8Array,
}
export type Result<T, E> = { tag: 'ok', val: T } | { tag: 'err', val: E };
