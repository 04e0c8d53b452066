/** @module Interface keyward:policy/index@0.1.0 **/
/**
 * Blind-index term, 32 bytes, by an HMAC key's current (or opened) version.
 * `label` separates fields: the same value under another label gives another term.
 */
export function term(key: Key, label: string, value: Uint8Array): Uint8Array;
/**
 * The terms by every version still in use, newest first: what to search for while old terms
 * have not been rewritten after a rotation.
 */
export function terms(key: Key, label: string, value: Uint8Array): Array<Uint8Array>;
export type Error = import('./keyward-policy-types.js').Error;
export type Key = import('./keyward-policy-keys.js').Key;
