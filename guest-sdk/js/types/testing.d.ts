import type { Algorithm, Data, Plan, Policy } from './index.js';

/** One tenant's host in memory. Its ciphertexts are its own, not Keyward's. */
export class Harness {
  constructor(tenant: string);
  /** Adds a key. */
  key(name: string, algorithm?: Algorithm, attributes?: Record<string, string>): this;
  /** Gives a key one more version, and makes it the current one. */
  rotate(name: string): this;
  readonly log: { level: string; message: string; fields: Record<string, string> }[];
  /** What `sealTo` encrypted to this public key. */
  unseal(publicKey: Uint8Array, sealed: Uint8Array, bound?: { info?: Data; aad?: Data }): Uint8Array;
  /** Requests of this caller. */
  caller(subject: string, roles?: readonly string[], claims?: Record<string, string>): Call;
}

/** Requests that have a caller, key, context, purpose and time in common. */
export interface Call {
  key(name: string): Call;
  context(data: Data): Call;
  purpose(purpose: string): Call;
  /** The host's clock: a Date, or milliseconds since 1970. */
  time(time: Date | number): Call;
  /** The policy's plan, or what it throws. */
  authorize(policy: Policy, operation: string): Plan;
  encrypt(policy: Policy, plaintext: Data): Uint8Array;
  decrypt(policy: Policy, ciphertext: Uint8Array): Uint8Array;
  invoke(
    policy: Policy,
    name: string,
    body: Data,
    contentType?: string,
  ): { contentType: string; body: Uint8Array };
}
