/** @module Interface keyward:policy/keys@0.1.0 **/
/**
 * Opens a key at its current version. `not-found` if the tenant has no such key.
 */
export function open(name: string): Key;
/**
 * Opens one version of a key; the handle then encrypts with and opens that version alone.
 */
export function openVersion(name: string, version: number): Key;
export type Algorithm = import('./keyward-policy-types.js').Algorithm;
export type Error = import('./keyward-policy-types.js').Error;

export class Key {
  /**
   * This type does not have a public constructor.
   */
  private constructor();
  /**
  * The key's name within the tenant.
  */
  name(): string;
  /**
  * The version this handle encrypts with: the current one, unless opened by version.
  */
  version(): number;
  algorithm(): Algorithm;
  /**
  * An attribute given to the key by its owner, for instance `context` = `required`.
  */
  attribute(name: string): string | undefined;
}
