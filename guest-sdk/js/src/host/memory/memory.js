// What a policy remembers, in memory.

import { Conflict, Invalid } from '../../errors.js';

/** One tenant's entries. */
export class Memory {
  #entries = new Map();
  #revisions = 0n;
  /** The time by which lives end, in milliseconds. */
  now = 0;

  #find(name) {
    const entry = this.#entries.get(name);
    return entry && entry.ends > this.now ? entry : undefined;
  }

  #write(name, value, ends) {
    this.#revisions += 1n;
    this.#entries.set(name, { value, revision: this.#revisions, ends });
    return this.#revisions;
  }

  #end(ttl) {
    return ttl === undefined ? Infinity : this.now + Number(ttl) * 1_000;
  }

  get(name) {
    const entry = this.#find(name);
    return entry && { value: entry.value, revision: entry.revision };
  }

  put(name, value, ttl, revision) {
    if (value.length > 4 << 10) {
      throw new Invalid('an entry has at most 4,096 bytes');
    }
    if (revision !== undefined && (this.#find(name)?.revision ?? 0n) !== revision) {
      throw new Conflict('the entry is at another revision');
    }
    return this.#write(name, value, this.#end(ttl));
  }

  add(name, amount, ttl) {
    const entry = this.#find(name);
    if (entry && entry.value.length !== 8) {
      throw new Invalid('the entry is no counter');
    }
    const before = entry ? Buffer.from(entry.value).readBigInt64BE() : 0n;
    const value = Buffer.alloc(8);
    value.writeBigInt64BE(before + amount);
    this.#write(name, new Uint8Array(value), entry ? entry.ends : this.#end(ttl));
    return before + amount;
  }

  remove(name, revision) {
    if (revision !== undefined && (this.#find(name)?.revision ?? 0n) !== revision) {
      throw new Conflict('the entry is at another revision');
    }
    this.#entries.delete(name);
  }
}
