import { bytes } from './bytes.js';

/**
 * What the host is to do: for encrypt and decrypt it executes the plan on the payload, which never
 * enters the policy. Each method returns a new plan.
 */
export class Plan {
  constructor(fields = {}) {
    this.key = fields.key;
    this.version = fields.version;
    this.suite = fields.suite;
    this.authenticatedData = fields.authenticatedData ?? new Uint8Array(0);
    this.obligations = fields.obligations ?? [];
  }

  /** Does what the request asks for, with the key it names. */
  static allow() {
    return new Plan();
  }

  /** Uses this key instead of the one the request names. */
  withKey(name) {
    return new Plan({ ...this, key: name });
  }

  /** Encrypts with this version; decrypts nothing but this version. */
  withVersion(version) {
    return new Plan({ ...this, version });
  }

  /** Encrypts with this AEAD of the key's family, for instance `xaes256-gcm`. */
  withSuite(algorithm) {
    return new Plan({ ...this, suite: algorithm });
  }

  /**
   * Binds one more piece of data: what was encrypted with it opens only with it. Every piece is
   * stored behind its length (32 bits, big-endian), so that no two lists of pieces look the same.
   */
  bind(data) {
    const piece = bytes(data);
    const bound = this.authenticatedData;
    const next = new Uint8Array(bound.length + 4 + piece.length);
    next.set(bound);
    new DataView(next.buffer).setUint32(bound.length, piece.length);
    next.set(piece, bound.length + 4);
    return new Plan({ ...this, authenticatedData: next });
  }

  /** Refuses a plaintext or ciphertext longer than this. */
  maxBytes(limit) {
    return this.#obliged('max-bytes', String(limit));
  }

  /** Records a remark of up to 256 bytes with the outcome. Never put payloads into it. */
  note(remark) {
    return this.#obliged('note', remark);
  }

  #obliged(name, value) {
    return new Plan({ ...this, obligations: [...this.obligations, { name, value }] });
  }
}
