// The host in memory that a policy's own tests run against: one tenant's keys, with Node's
// cryptography. Its ciphertexts and signatures are its own, not Keyward's.

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  generateKeyPairSync,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';

import { Invalid, NotFound } from '../../errors.js';
import { Memory } from './memory.js';

const KINDS = {
  'hmac-sha256': 'mac',
  'hmac-sha384': 'mac',
  'hmac-sha512': 'mac',
  ed25519: 'signature',
  'ecdsa-p256': 'signature',
  'ecdsa-p384': 'signature',
};
const CURVES = { 'ecdsa-p256': 'P-256', 'ecdsa-p384': 'P-384' };

let current;

/** The host whose functions the policy calls while `work` runs. */
export function within(world, work) {
  const before = current;
  current = world;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** The host of the test that runs. */
export function world() {
  if (!current) {
    throw new Error('no host: call the policy through a Harness of @keyward/policy/testing');
  }
  return current;
}

function joined(...pieces) {
  return Buffer.concat(
    pieces.flatMap((piece) => {
      const data = Buffer.from(piece);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(data.length);
      return [length, data];
    }),
  );
}

/** One key with its versions. */
class StoredKey {
  constructor(name, algorithm, attributes) {
    this.name = name;
    this.algorithm = algorithm;
    this.attributes = attributes;
    this.versions = [];
    this.rotate();
  }

  get kind() {
    return KINDS[this.algorithm] ?? 'aead';
  }

  rotate() {
    if (this.kind === 'signature') {
      const curve = CURVES[this.algorithm];
      const pair = curve
        ? generateKeyPairSync('ec', { namedCurve: curve })
        : generateKeyPairSync('ed25519');
      this.versions.push(pair);
    } else {
      this.versions.push(randomBytes(32));
    }
  }

  must(kind) {
    if (this.kind !== kind) {
      throw new Invalid(`the key \`${this.name}\` is not one of this kind: it is ${this.algorithm}`);
    }
  }
}

/** A key at one version, as the host's functions take it. */
class Handle {
  constructor(key, version, pinned) {
    this.key = key;
    this.number = version;
    this.pinned = pinned;
  }

  name() {
    return this.key.name;
  }

  version() {
    return this.number;
  }

  algorithm() {
    return this.key.algorithm;
  }

  attribute(name) {
    return this.key.attributes[name];
  }

  /** The numbers of the versions it opens and verifies with, newest first. */
  usable() {
    return this.pinned ? [this.number] : this.key.versions.map((_, index) => index + 1).reverse();
  }

  secret(number = this.number) {
    return this.key.versions[number - 1];
  }
}

/** One tenant's keys, and what its policy logged. */
export class World {
  constructor(tenant) {
    this.tenant = tenant;
    this.keys = new Map();
    this.lines = [];
    this.state = new Memory();
  }

  addKey(name, algorithm, attributes) {
    this.keys.set(name, new StoredKey(name, algorithm, attributes));
  }

  open(name, version) {
    const key = this.keys.get(name);
    if (!key) {
      throw new NotFound(`there is no key \`${name}\``);
    }
    const number = version ?? key.versions.length;
    if (number < 1 || number > key.versions.length) {
      throw new NotFound(`the key \`${name}\` has no version ${number}`);
    }
    return new Handle(key, number, version !== undefined);
  }

  /** `channel` keeps what a policy encrypted apart from what the host did by a plan. */
  seal(handle, data, channel, ...bound) {
    handle.key.must('aead');
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', handle.secret(), nonce);
    cipher.setAAD(joined(this.tenant, handle.key.name, channel, ...bound));
    const version = Buffer.alloc(4);
    version.writeUInt32BE(handle.number);
    const sealed = [version, nonce, cipher.update(data), cipher.final(), cipher.getAuthTag()];
    return new Uint8Array(Buffer.concat(sealed));
  }

  unseal(handle, data, channel, ...bound) {
    handle.key.must('aead');
    const sealed = Buffer.from(data);
    const refused = new Invalid('the ciphertext does not open');
    if (sealed.length < 32 || !handle.usable().includes(sealed.readUInt32BE(0))) {
      throw refused;
    }
    const secret = handle.secret(sealed.readUInt32BE(0));
    const cipher = createDecipheriv('aes-256-gcm', secret, sealed.subarray(4, 16));
    cipher.setAAD(joined(this.tenant, handle.key.name, channel, ...bound));
    cipher.setAuthTag(sealed.subarray(-16));
    try {
      return new Uint8Array(Buffer.concat([cipher.update(sealed.subarray(16, -16)), cipher.final()]));
    } catch {
      throw refused;
    }
  }

  tag(handle, number, ...pieces) {
    handle.key.must('mac');
    const hash = handle.key.algorithm.replace('hmac-', '');
    const mac = createHmac(hash, handle.secret(number));
    return new Uint8Array(mac.update(joined(...pieces)).digest());
  }

  isTag(handle, data, tag) {
    const right = this.tag(handle, handle.number, 'mac', data);
    return tag.length === right.length && timingSafeEqual(tag, right);
  }

  sign(handle, data) {
    handle.key.must('signature');
    const hash = handle.key.algorithm === 'ed25519' ? null : 'sha256';
    return new Uint8Array(sign(hash, data, handle.secret().privateKey));
  }

  signer(handle, data, signature) {
    handle.key.must('signature');
    const hash = handle.key.algorithm === 'ed25519' ? null : 'sha256';
    return handle
      .usable()
      .find((number) => verify(hash, data, handle.secret(number).publicKey, signature));
  }

  /** Not HPKE, but as long: a stand-in that `unsealTo` opens. */
  sealTo(publicKey, info, aad, data) {
    const encapsulated = randomBytes(32);
    const key = createHash('sha256').update(publicKey).update(encapsulated).digest();
    const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
    cipher.setAAD(joined(info, aad));
    const sealed = [encapsulated, cipher.update(data), cipher.final(), cipher.getAuthTag()];
    return new Uint8Array(Buffer.concat(sealed));
  }

  unsealTo(publicKey, info, aad, sealed) {
    const [encapsulated, body] = [sealed.subarray(0, 32), sealed.subarray(32, -16)];
    const key = createHash('sha256').update(publicKey).update(encapsulated).digest();
    const cipher = createDecipheriv('aes-256-gcm', key, Buffer.alloc(12));
    cipher.setAAD(joined(info, aad)).setAuthTag(sealed.subarray(-16));
    return new Uint8Array(Buffer.concat([cipher.update(body), cipher.final()]));
  }

  /** Not FF1, but as it: of equal length and alphabet, and different by key, tweak and alphabet. */
  shift(handle, alphabet, tweak, text, direction) {
    if (handle.key.algorithm !== 'aes256-siv') {
      throw new Invalid(`the key \`${handle.key.name}\` is not of aes256-siv`);
    }
    const [characters, places] = [[...alphabet], [...text].map((it) => [...alphabet].indexOf(it))];
    if (places.includes(-1)) {
      throw new Invalid('a character is not of the alphabet');
    }
    return places
      .map((place, at) => {
        const stream = createHmac('sha256', handle.secret());
        const step = stream.update(joined(alphabet, tweak, String(at))).digest().readUInt32BE();
        const { length } = characters;
        return characters[(((place + direction * step) % length) + length) % length];
      })
      .join('');
  }

  publicKey(handle) {
    handle.key.must('signature');
    const der = handle.secret().publicKey.export({ type: 'spki', format: 'der' });
    return new Uint8Array(der);
  }
}

/** A contract's `result`. */
export function result(work) {
  try {
    return { tag: 'ok', val: work() };
  } catch (error) {
    if (error.payload) {
      return { tag: 'err', val: error.payload };
    }
    throw error;
  }
}
