/** @module Interface keyward:policy/types@0.1.0 **/
/**
 * Who is asking, as the host authenticated them. Never taken from a request body.
 */
export interface Caller {
  /**
   * Stable name of the credential's holder, for instance `billing-service`.
   */
  subject: string,
  /**
   * Roles the credential carries, for instance `application` or `tenant-admin`.
   */
  roles: Array<string>,
  /**
   * Further statements about the caller, as name and value.
   */
  claims: Array<[string, string]>,
}
/**
 * One operation a caller asks for.
 */
export interface Request {
  /**
   * The host's identifier for the HTTP request, the same in its logs.
   */
  id: string,
  /**
   * The tenant the credential is bound to and whose policy this is.
   */
  tenant: string,
  caller: Caller,
  /**
   * What the host is to do: `encrypt`, `decrypt`, `rewrap` (a ciphertext moves to another
   * version, key or context; asked for the place it has, and again for the place it gets if
   * that is another), `datakey`, `mac`, `verify-mac`, `sign`, `verify`, `derive`; `random` and
   * `hash`, which name no key; or `invoke/NAME` for an operation of `handler`. A policy refuses
   * what it does not know: later hosts may ask for operations that do not exist today.
   */
  operation: string,
  /**
   * Name of the key the caller wants used. None when the caller leaves the choice to the
   * policy. For decrypt and rewrap it is the name of the key the ciphertext was made with.
   */
  key?: string,
  /**
   * The caller's context, bound into the ciphertext's authenticated data by the host.
   */
  context?: Uint8Array,
  /**
   * What the caller says the operation is for. The host does not bind it; a policy may.
   */
  purpose?: string,
  /**
   * The host's clock, in milliseconds since 1970-01-01T00:00:00Z.
   */
  time: bigint,
}
/**
 * How a key's bytes are used. A key belongs to one family for life: the AEADs are one family,
 * every other algorithm stands alone.
 * # Variants
 * 
 * ## `"xaes256-gcm"`
 * 
 * AEAD, C2SP XAES-256-GCM with key commitment: 192-bit random nonces. The default.
 * ## `"aes256-gcm"`
 * 
 * AEAD, NIST SP 800-38D AES-256-GCM: 96-bit random nonces, at most 2^32 messages a version.
 * ## `"aes256-gcm-siv"`
 * 
 * AEAD, RFC 8452 AES-256-GCM-SIV.
 * ## `"chacha20-poly1305"`
 * 
 * AEAD, RFC 8439 ChaCha20-Poly1305: 96-bit random nonces, at most 2^32 messages a version.
 * ## `"xchacha20-poly1305"`
 * 
 * AEAD, XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): 192-bit random nonces.
 * ## `"aes256-siv"`
 * 
 * Deterministic AEAD, RFC 5297 AES-256-SIV: equal inputs give equal ciphertexts.
 * ## `"hmac-sha256"`
 * 
 * RFC 2104 HMAC with SHA-256: tags and blind-index terms.
 * ## `"hmac-sha384"`
 * 
 * HMAC with SHA-384.
 * ## `"hmac-sha512"`
 * 
 * HMAC with SHA-512.
 * ## `"ed25519"`
 * 
 * Signatures, RFC 8032 Ed25519.
 * ## `"ecdsa-p256"`
 * 
 * Signatures, FIPS 186-5 ECDSA on P-256 with SHA-256.
 * ## `"ecdsa-p384"`
 * 
 * Signatures, FIPS 186-5 ECDSA on P-384 with SHA-384.
 * ## `"rsa2048"`
 * 
 * Signatures, RFC 8017 RSA of 2048 bits.
 * ## `"rsa3072"`
 * 
 * The same of 3072 bits.
 * ## `"rsa4096"`
 * 
 * The same of 4096 bits.
 * ## `"rsa-oaep2048"`
 * 
 * Encryption to a public key, RFC 8017 RSA-OAEP with SHA-256 of 2048 bits.
 * ## `"rsa-oaep3072"`
 * 
 * The same of 3072 bits.
 * ## `"rsa-oaep4096"`
 * 
 * The same of 4096 bits.
 * ## `"x25519"`
 * 
 * Encryption to a public key, RFC 7748 X25519.
 * ## `"ml-kem768"`
 * 
 * Encryption to a public key, FIPS 203 ML-KEM-768.
 * ## `"x25519-ml-kem768"`
 * 
 * Encryption to a public key, both of the above combined (X-Wing).
 * ## `"ml-dsa65"`
 * 
 * Signatures, FIPS 204 ML-DSA-65.
 */
export type Algorithm = 'xaes256-gcm' | 'aes256-gcm' | 'aes256-gcm-siv' | 'chacha20-poly1305' | 'xchacha20-poly1305' | 'aes256-siv' | 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512' | 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384' | 'rsa2048' | 'rsa3072' | 'rsa4096' | 'rsa-oaep2048' | 'rsa-oaep3072' | 'rsa-oaep4096' | 'x25519' | 'ml-kem768' | 'x25519-ml-kem768' | 'ml-dsa65';
/**
 * Which form a signature has, where an algorithm knows several. One the key's algorithm does
 * not know is `invalid`.
 * # Variants
 * 
 * ## `"standard"`
 * 
 * The algorithm's own: 64 bytes for Ed25519, DER for ECDSA, PSS with SHA-256 and a salt of 32
 * bytes for RSA, 3,309 bytes for ML-DSA-65.
 * ## `"fixed"`
 * 
 * ECDSA: r and s one after the other, each as long as the curve's order (RFC 7518, IEEE P1363).
 * ## `"pkcs1"`
 * 
 * RSA: PKCS#1 v1.5 with SHA-256, for peers that know no PSS.
 */
export type SignatureForm = 'standard' | 'fixed' | 'pkcs1';
/**
 * Something the host must do, or refuse the request. `name` is one of:
 * `max-bytes` (value: decimal; a longer plaintext or ciphertext is refused),
 * `note` (value: up to 256 bytes, recorded with the outcome).
 * A name the host does not know makes it refuse: an obligation is never dropped in silence.
 */
export interface Obligation {
  name: string,
  value: string,
}
/**
 * What the host is to do. For encrypt and decrypt the host executes it on the payload, which
 * never enters the policy.
 */
export interface Plan {
  /**
   * Key to use. None: the key the request names. For decrypt it must be the key the
   * ciphertext was made with, else nothing opens.
   */
  key?: string,
  /**
   * Version to use. None: the current one. For decrypt, verify and verify-mac: the only version
   * accepted.
   */
  version?: number,
  /**
   * AEAD to encrypt with, of the key's family. None: the key's own. Unused where nothing is
   * encrypted, and for streams, which have a suite of their own.
   */
  suite?: Algorithm,
  /**
   * The policy's own part of the authenticated data, beside tenant, key, version, suite and
   * context, which the host always binds. Decrypting needs the same bytes. At most 4 KiB.
   * For mac and sign it must be empty: others verify what was signed, and nothing more.
   */
  authenticatedData: Uint8Array,
  obligations: Array<Obligation>,
}
/**
 * Why something was not done. The text reaches the caller, so it must hold no secret.
 */
export type Error = ErrorDenied | ErrorInvalid | ErrorNotFound | ErrorConflict | ErrorUnavailable;
/**
 * The policy or the host does not allow it. HTTP 403.
 */
export interface ErrorDenied {
  tag: 'denied',
  val: string,
}
/**
 * The request cannot be right, whoever asks: say what to change. HTTP 400.
 */
export interface ErrorInvalid {
  tag: 'invalid',
  val: string,
}
/**
 * No such key or version in this tenant. HTTP 404.
 */
export interface ErrorNotFound {
  tag: 'not-found',
  val: string,
}
/**
 * It clashes with the state of things. HTTP 409.
 */
export interface ErrorConflict {
  tag: 'conflict',
  val: string,
}
/**
 * Try again later. HTTP 503.
 */
export interface ErrorUnavailable {
  tag: 'unavailable',
  val: string,
}
