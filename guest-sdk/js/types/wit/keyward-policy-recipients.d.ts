/** @module Interface keyward:policy/recipients@0.1.0 **/
/**
 * HPKE (RFC 9180), base mode, single shot, HKDF-SHA-256 and AES-256-GCM. `public-key` is DER of
 * an X.509 SubjectPublicKeyInfo of an X25519 (RFC 8410), ML-KEM-768 (RFC 9935) or X-Wing key
 * (draft-connolly-cfrg-xwing-kem). The result is the encapsulated key, 32, 1,088 or 1,120 bytes,
 * then the ciphertext, 16 bytes longer than `data`. Whoever has the private key opens it with any
 * implementation of HPKE, with the same `info` (what the message is for) and the same `aad`.
 */
export function seal(publicKey: Uint8Array, info: Uint8Array, aad: Uint8Array, data: Uint8Array): Uint8Array;
export type Error = import('./keyward-policy-types.js').Error;
