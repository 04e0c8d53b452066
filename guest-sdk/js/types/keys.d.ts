import type { Algorithm, Data, PolicyError, SignatureForm } from './index.js';

export interface Item {
  data: Data;
  aad?: Data;
}

/** A key at one version. What it is used for needs the permission's own import. */
export class Key {
  private constructor();
  readonly name: string;
  /** The version it encrypts with: the current one, unless opened by version. */
  readonly version: number;
  readonly algorithm: Algorithm;
  /** An attribute given to the key by its owner. */
  attribute(name: string): string | undefined;
  /** Encrypts, bound to `aad`. Needs `@keyward/policy/sealing`. */
  seal(data: Data, aad?: Data): Uint8Array;
  sealMany(items: readonly Item[]): (Uint8Array | PolicyError)[];
  /** Decrypts what `seal` made with the same `aad`. Needs `@keyward/policy/opening`. */
  open(data: Data, aad?: Data): Uint8Array;
  openMany(items: readonly Item[]): (Uint8Array | PolicyError)[];
  /** The tag of an HMAC key. Needs `@keyward/policy/macs`. */
  mac(data: Data): Uint8Array;
  /** Whether `tag` is the tag of `data`, in constant time. Needs `@keyward/policy/macs`. */
  verifyMac(data: Data, tag: Uint8Array): boolean;
  /** Needs `@keyward/policy/signing`. */
  sign(data: Data, form?: SignatureForm): Uint8Array;
  /** The version whose signature it is, or undefined. Needs `@keyward/policy/verifying`. */
  verify(data: Data, signature: Uint8Array, form?: SignatureForm): number | undefined;
  /** DER of the public half. Needs `@keyward/policy/verifying`. */
  publicKey(): Uint8Array;
  /** A blind-index term of 32 bytes. Needs `@keyward/policy/index-terms`. */
  term(label: string, value: Data): Uint8Array;
  /** The terms by every version in use, newest first. Needs `@keyward/policy/index-terms`. */
  terms(label: string, value: Data): Uint8Array[];
  /** A token of the same form as `text` (FF1). Needs `@keyward/policy/tokens`. */
  tokenize(alphabet: string, text: string, tweak?: Data): string;
  /** The text of a token, by the version it was made with. Needs `@keyward/policy/tokens`. */
  reveal(alphabet: string, token: string, tweak?: Data): string;
}

/** Opens a key at its current version, or at a given one. Throws NotFound if there is none. */
export function openKey(name: string, version?: number): Key;
