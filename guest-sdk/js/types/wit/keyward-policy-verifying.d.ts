/** @module Interface keyward:policy/verifying@0.1.0 **/
/**
 * The version whose signature of `data` it is. None if it is no version's: every version in use
 * is tried, newest first; a handle opened by version accepts that version alone.
 */
export function verify(key: Key, data: Uint8Array, signature: Uint8Array, form: SignatureForm): number | undefined;
/**
 * The public half of the handle's version, as DER of an X.509 SubjectPublicKeyInfo: of a key
 * that signs, or of one that others encrypt to.
 */
export function publicKey(key: Key): Uint8Array;
export type Error = import('./keyward-policy-types.js').Error;
export type SignatureForm = import('./keyward-policy-types.js').SignatureForm;
export type Key = import('./keyward-policy-keys.js').Key;
