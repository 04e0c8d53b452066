/** @module Interface keyward:policy/signing@0.1.0 **/
/**
 * The signature of `data` by the handle's version, over these bytes and nothing else, so that
 * whoever has the public key can verify it. What a policy signs for callers should therefore
 * say in itself what it is.
 */
export function sign(key: Key, data: Uint8Array, form: SignatureForm): Uint8Array;
export type Error = import('./keyward-policy-types.js').Error;
export type SignatureForm = import('./keyward-policy-types.js').SignatureForm;
export type Key = import('./keyward-policy-keys.js').Key;
