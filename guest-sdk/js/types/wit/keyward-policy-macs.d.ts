/** @module Interface keyward:policy/macs@0.1.0 **/
/**
 * The tag by the handle's version, as long as the key's hash: 32, 48 or 64 bytes.
 */
export function mac(key: Key, data: Uint8Array): Uint8Array;
/**
 * Constant-time check against the handle's version.
 */
export function verify(key: Key, data: Uint8Array, tag: Uint8Array): boolean;
export type Error = import('./keyward-policy-types.js').Error;
export type Key = import('./keyward-policy-keys.js').Key;
