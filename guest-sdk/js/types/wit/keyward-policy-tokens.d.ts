/** @module Interface keyward:policy/tokens@0.1.0 **/
/**
 * A token for `text`, of as many characters of the same alphabet: FF1 (NIST SP 800-38G) with a
 * key of `aes256-siv`. `alphabet` is 2 to 65,536 characters, each once, `text` at most 1,024 of
 * them, and long enough that there are a million texts of its length. Equal texts have equal
 * tokens under one version, alphabet and tweak, so give each field a `tweak` of its own. Nothing
 * authenticates a token, and nothing in it tells the version: keep the version beside it, and
 * open the key by that version to reveal it.
 */
export function tokenize(key: Key, alphabet: string, tweak: Uint8Array, text: string): string;
/**
 * The text of a token of `tokenize` with the same version, alphabet and tweak. Of any other
 * token it is some text.
 */
export function reveal(key: Key, alphabet: string, tweak: Uint8Array, token: string): string;
/**
 * `length` random characters of the alphabet, each as likely as the next; 1 to 1,024.
 */
export function random(alphabet: string, length: number): string;
export type Error = import('./keyward-policy-types.js').Error;
export type Key = import('./keyward-policy-keys.js').Key;
