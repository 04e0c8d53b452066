// A policy's own tests, in Node, without a component and without a server: `node --test`.

import { bytes } from './bytes.js';
import { attempt } from './permissions.js';
import { World, within } from './host/memory/world.js';

/** One tenant's host in memory. */
export class Harness {
  #world;

  constructor(tenant) {
    this.#world = new World(tenant);
  }

  /** Adds a key. */
  key(name, algorithm = 'xaes256-gcm', attributes = {}) {
    this.#world.addKey(name, algorithm, attributes);
    return this;
  }

  /** Gives a key one more version, and makes it the current one. */
  rotate(name) {
    this.#world.keys.get(name).rotate();
    return this;
  }

  /** What was logged: `{ level, message, fields }` each. */
  get log() {
    return this.#world.lines;
  }

  /** What `sealTo` encrypted to this public key. */
  unseal(publicKey, sealed, { info = '', aad = '' } = {}) {
    return this.#world.unsealTo(bytes(publicKey), bytes(info), bytes(aad), sealed);
  }

  /** Requests of this caller. `claims`: an object of names and values. */
  caller(subject, roles = [], claims = {}) {
    const caller = { subject, roles, claims: Object.entries(claims) };
    return new Call(this.#world, { caller, time: 1_800_000_000_000 });
  }
}

/** Requests that have a caller, key, context, purpose and time in common. */
class Call {
  #world;
  #fields;

  constructor(world, fields) {
    this.#world = world;
    this.#fields = fields;
  }

  #with(fields) {
    return new Call(this.#world, { ...this.#fields, ...fields });
  }

  key(name) {
    return this.#with({ key: name });
  }

  context(data) {
    return this.#with({ context: bytes(data) });
  }

  purpose(purpose) {
    return this.#with({ purpose });
  }

  /** The host's clock: a Date, or milliseconds since 1970. */
  time(time) {
    return this.#with({ time: Number(time) });
  }

  #request(operation) {
    const { caller, key, context, purpose, time } = this.#fields;
    const { tenant } = this.#world;
    this.#world.state.now = time;
    return { id: 'test', tenant, caller, operation, key, context, purpose, time: BigInt(time) };
  }

  /** The policy's plan, or what it throws. */
  authorize(policy, operation) {
    const run = () => policy.guard.authorize(this.#request(operation));
    return within(this.#world, () => attempt(run));
  }

  #planned(policy, operation, length) {
    const plan = this.authorize(policy, operation);
    const limit = plan.obligations.find(({ name }) => name === 'max-bytes');
    if (limit && length > Number(limit.value)) {
      throw new RangeError(`the plan allows at most ${limit.value} bytes`);
    }
    const name = plan.key ?? this.#fields.key;
    const handle = this.#world.open(name, plan.version);
    return [handle, 'payload', plan.authenticatedData, this.#fields.context ?? ''];
  }

  /** What the host makes of `encrypt` by the policy's plan. */
  encrypt(policy, plaintext) {
    const data = bytes(plaintext);
    const [handle, ...bound] = this.#planned(policy, 'encrypt', data.length);
    return this.#world.seal(handle, data, ...bound);
  }

  /** What the host makes of `decrypt` by the policy's plan. */
  decrypt(policy, ciphertext) {
    const [handle, ...bound] = this.#planned(policy, 'decrypt', ciphertext.length);
    return this.#world.unseal(handle, ciphertext, ...bound);
  }

  /** `invoke/NAME`: the decision, then the operation. Gives `{ contentType, body }`. */
  invoke(policy, name, body, contentType = 'application/json') {
    this.authorize(policy, `invoke/${name}`);
    const payload = { contentType, body: bytes(body) };
    const run = () => policy.handler.invoke(this.#request(`invoke/${name}`), payload);
    return within(this.#world, () => attempt(run));
  }
}
