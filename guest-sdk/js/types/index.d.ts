import type { Algorithm, Caller as WireCaller, Obligation } from './wit/keyward-policy-types.js';
import type * as Guard from './wit/keyward-policy-guard.js';
import type * as Handler from './wit/keyward-policy-handler.js';

export type { Algorithm, Obligation, SignatureForm } from './wit/keyward-policy-types.js';

/** Text is taken as UTF-8. */
export type Data = string | Uint8Array;

/** Bytes as they are; text as UTF-8. */
export function bytes(data: Data): Uint8Array;
/** UTF-8 as text; throws on bytes that are none. */
export function text(data: Uint8Array): string;

/** Who is asking, as the host authenticated them. */
export class Caller {
  constructor(caller: WireCaller);
  readonly subject: string;
  readonly roles: string[];
  readonly claims: [string, string][];
  hasRole(role: string): boolean;
  hasAnyRole(roles: readonly string[]): boolean;
  /** The value of the first claim of that name. */
  claim(name: string): string | undefined;
}

/** One operation a caller asks for. */
export class Request {
  readonly id: string;
  readonly tenant: string;
  readonly caller: Caller;
  /** `encrypt`, `decrypt`, …, or `invoke/NAME`. Refuse what you do not know. */
  readonly operation: string;
  readonly key: string | undefined;
  readonly context: Uint8Array | undefined;
  readonly purpose: string | undefined;
  /** The host's clock, in milliseconds since 1970-01-01T00:00:00Z. */
  readonly time: number;
  /** NAME of `invoke/NAME`; undefined for any other operation. */
  readonly invoked: string | undefined;
  hasRole(role: string): boolean;
  hasAnyRole(roles: readonly string[]): boolean;
  claim(name: string): string | undefined;
}

/** What the host is to do. Each method returns a new plan. */
export class Plan {
  readonly key: string | undefined;
  readonly version: number | undefined;
  readonly suite: Algorithm | undefined;
  readonly authenticatedData: Uint8Array;
  readonly obligations: Obligation[];
  /** Does what the request asks for, with the key it names. */
  static allow(): Plan;
  /** Uses this key instead of the one the request names. */
  withKey(name: string): Plan;
  /** Encrypts with this version; decrypts nothing but this version. */
  withVersion(version: number): Plan;
  /** Encrypts with this AEAD of the key's family. */
  withSuite(algorithm: Algorithm): Plan;
  /** Binds one more piece of data: what was encrypted with it opens only with it. */
  bind(data: Data): Plan;
  /** Refuses a plaintext or ciphertext longer than this. */
  maxBytes(limit: number): Plan;
  /** Records a remark of up to 256 bytes with the outcome. Never put payloads into it. */
  note(remark: string): Plan;
}

/** Why something is not done. The text reaches the caller, so it must hold no secret. */
export abstract class PolicyError extends Error {}
/** The policy or the host does not allow it. HTTP 403. */
export class Denied extends PolicyError {
  constructor(message: string);
}
/** The request cannot be right, whoever asks: say what to change. HTTP 400. */
export class Invalid extends PolicyError {
  constructor(message: string);
}
/** No such key or version in this tenant. HTTP 404. */
export class NotFound extends PolicyError {
  constructor(message: string);
}
/** It clashes with the state of things. HTTP 409. */
export class Conflict extends PolicyError {
  constructor(message: string);
}
/** Try again later. HTTP 503. */
export class Unavailable extends PolicyError {
  constructor(message: string);
}
/** The refusal of an operation the policy does not know. */
export function unknownOperation(operation: string): Denied;

/** One operation of the policy's own, reached as `POST …/invoke/NAME`. */
export interface Operation {
  description?: string;
  /** JSON Schema (2020-12) of what it takes, and of what it gives. */
  input?: object;
  output?: object;
  /** Without a content type, the answer has the payload's. */
  invoke(
    request: Request,
    payload: Handler.Payload,
  ): { contentType?: string; body: Data };
}

/** What a module exports as its default. */
export interface Policy {
  readonly guard: typeof Guard;
  readonly handler: Pick<typeof Handler, 'invoke' | 'describe'>;
}

export function definePolicy(policy: {
  /** Decides every request: returns a plan, or throws one of the errors above. */
  authorize(request: Request): Plan;
  operations?: Record<string, Operation>;
}): Policy;
