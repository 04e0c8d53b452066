// Handles on the tenant's own keys. Key bytes never enter a policy.

import * as host from '#host/keys';

import { bytes } from './bytes.js';
import { attempt, call, grant, outcome } from './permissions.js';

grant('keys', host);

const items = (list) => list.map(({ data, aad = '' }) => ({ data: bytes(data), aad: bytes(aad) }));

/** A key at one version. What it is used for needs the permission's own import. */
export class Key {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  /** The key's name within the tenant. */
  get name() {
    return this.#handle.name();
  }

  /** The version it encrypts with: the current one, unless opened by version. */
  get version() {
    return this.#handle.version();
  }

  /** For instance `xaes256-gcm`. */
  get algorithm() {
    return this.#handle.algorithm();
  }

  /** An attribute given to the key by its owner. */
  attribute(name) {
    return this.#handle.attribute(name);
  }

  /** Encrypts, bound to `aad`. Needs `@keyward/policy/sealing`. */
  seal(data, aad = '') {
    return call('sealing', 'encrypt', this.#handle, bytes(data), bytes(aad));
  }

  /** The same for a list of `{ data, aad }`: of each the ciphertext, or a PolicyError. */
  sealMany(list) {
    return call('sealing', 'encryptMany', this.#handle, items(list)).map(outcome);
  }

  /** Decrypts what `seal` made with the same `aad`. Needs `@keyward/policy/opening`. */
  open(data, aad = '') {
    return call('opening', 'decrypt', this.#handle, bytes(data), bytes(aad));
  }

  /** The same for a list of `{ data, aad }`: of each the plaintext, or a PolicyError. */
  openMany(list) {
    return call('opening', 'decryptMany', this.#handle, items(list)).map(outcome);
  }

  /** The tag of an HMAC key. Needs `@keyward/policy/macs`. */
  mac(data) {
    return call('macs', 'mac', this.#handle, bytes(data));
  }

  /** Whether `tag` is the tag of `data`, in constant time. Needs `@keyward/policy/macs`. */
  verifyMac(data, tag) {
    return call('macs', 'verify', this.#handle, bytes(data), bytes(tag));
  }

  /** A signature: `standard`, `fixed` or `pkcs1`. Needs `@keyward/policy/signing`. */
  sign(data, form = 'standard') {
    return call('signing', 'sign', this.#handle, bytes(data), form);
  }

  /** The version whose signature it is, or undefined. Needs `@keyward/policy/verifying`. */
  verify(data, signature, form = 'standard') {
    return call('verifying', 'verify', this.#handle, bytes(data), bytes(signature), form);
  }

  /** DER of the public half. Needs `@keyward/policy/verifying`. */
  publicKey() {
    return call('verifying', 'publicKey', this.#handle);
  }

  /** A blind-index term of 32 bytes. Needs `@keyward/policy/index-terms`. */
  term(label, value) {
    return call('index', 'term', this.#handle, label, bytes(value));
  }

  /** The terms by every version in use, newest first. Needs `@keyward/policy/index-terms`. */
  terms(label, value) {
    return call('index', 'terms', this.#handle, label, bytes(value));
  }

  /** A token of the same form as `text` (FF1). Needs `@keyward/policy/tokens`. */
  tokenize(alphabet, text, tweak = '') {
    return call('tokens', 'tokenize', this.#handle, alphabet, bytes(tweak), text);
  }

  /** The text of a token, by the version it was made with. Needs `@keyward/policy/tokens`. */
  reveal(alphabet, token, tweak = '') {
    return call('tokens', 'reveal', this.#handle, alphabet, bytes(tweak), token);
  }
}

/** Opens a key at its current version, or at a given one. Throws NotFound if there is none. */
export function openKey(name, version) {
  return new Key(
    attempt(() => (version === undefined ? host.open(name) : host.openVersion(name, version))),
  );
}
