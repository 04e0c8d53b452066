import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';

import {
  bytes,
  Conflict,
  definePolicy,
  Denied,
  Invalid,
  NotFound,
  Plan,
  PolicyError,
  text,
  unknownOperation,
} from '@keyward/policy';
import { openKey } from '@keyward/policy/keys';
import { Harness } from '@keyward/policy/testing';

import { narrowed } from '../src/build.js';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const contract = process.env.KEYWARD_CONTRACT ?? here('../../wit/policy.wit');

test('the types and the contract are those of wit/policy.wit', (t) => {
  if (!existsSync(contract)) {
    return t.skip('not in the repository');
  }
  execFileSync(process.execPath, [here('scripts/generate.js'), '--check', contract]);
});

test('the world imports what was asked for, and what it asks for itself', async () => {
  const world = narrowed(await readFile(here('wit/policy.wit'), 'utf8'), ['keys', 'log']);
  const imports = [...world.matchAll(/^ {2}import ([a-z]+);/gm)].map(([, name]) => name);
  assert.deepEqual(imports, ['types', 'keys', 'log']);
});

test('bound pieces cannot be shifted', () => {
  const bound = (...pieces) =>
    Buffer.from(pieces.reduce((plan, piece) => plan.bind(piece), Plan.allow()).authenticatedData);
  assert.equal(bound('ab').toString('latin1'), '\0\0\0\x02ab');
  const all = [[], ['ab', 'c'], ['a', 'bc'], ['abc'], ['abc', ''], ['', 'abc']];
  const seen = new Set(all.map((pieces) => bound(...pieces).toString('hex')));
  assert.equal(seen.size, all.length);
});

const policy = (authorize, operations) => definePolicy({ authorize, operations });
const allowed = () => Plan.allow();

test('a permission that is not imported is an error that says which', () => {
  const on = new Harness('acme').key('main');
  const uses = policy(allowed, { x: { invoke: () => ({ body: openKey('main').seal('x') }) } });
  assert.throws(() => on.caller('a').invoke(uses, 'x', ''), /import '@keyward\/policy\/sealing'/);
});

test('with it, keys do what they are for', async () => {
  for (const name of ['sealing', 'opening', 'macs', 'signing', 'verifying', 'index-terms']) {
    await import(`@keyward/policy/${name}`);
  }
  const { randomBytes } = await import('@keyward/policy/random');
  const on = new Harness('acme').key('aead').key('mac', 'hmac-sha256').key('sign', 'ed25519');
  const work = () => {
    const aead = openKey('aead');
    const sealed = aead.seal('text', 'place');
    assert.equal(text(aead.open(sealed, 'place')), 'text');
    assert.throws(() => aead.open(sealed, 'elsewhere'), Invalid);
    const [good, bad] = aead.openMany([{ data: sealed, aad: 'place' }, { data: sealed }]);
    assert.equal(text(good), 'text');
    assert.ok(bad instanceof Invalid);
    assert.equal(aead.sealMany([{ data: 'x' }, { data: 'y' }]).length, 2);
    assert.throws(() => aead.mac('x'), Invalid);
    const mac = openKey('mac');
    assert.ok(mac.verifyMac('x', mac.mac('x')));
    assert.ok(!mac.verifyMac('y', mac.mac('x')));
    assert.notDeepEqual(mac.term('a', 'x'), mac.term('b', 'x'));
    const sign = openKey('sign');
    assert.equal(sign.verify('x', sign.sign('x')), 1);
    assert.equal(sign.verify('y', sign.sign('x')), undefined);
    assert.ok(sign.publicKey().length > 40);
    assert.throws(() => openKey('none'), NotFound);
    assert.throws(() => openKey('aead', 2), NotFound);
    assert.equal(randomBytes(7).length, 7);
    return { body: 'done' };
  };
  on.rotate('mac');
  const answer = on.caller('a').invoke(policy(allowed, { work: { invoke: work } }), 'work', '');
  assert.equal(text(answer.body), 'done');
});

test('tokens have the form of what they stand for', async () => {
  const { DIGITS, randomToken } = await import('@keyward/policy/tokens');
  const on = new Harness('acme').key('cards', 'aes256-siv').key('main');
  const work = () => {
    const cards = openKey('cards');
    const token = cards.tokenize(DIGITS, '4111111111111111', 'card');
    assert.match(token, /^[0-9]{16}$/);
    assert.notEqual(token, '4111111111111111');
    assert.equal(cards.reveal(DIGITS, token, 'card'), '4111111111111111');
    assert.notEqual(cards.reveal(DIGITS, token, 'other'), '4111111111111111');
    assert.throws(() => cards.tokenize(DIGITS, 'x'), Invalid);
    assert.throws(() => openKey('main').tokenize(DIGITS, '1'), Invalid);
    assert.match(randomToken('ab', 40), /^[ab]{40}$/);
    return { body: '' };
  };
  on.caller('a').invoke(policy(allowed, { work: { invoke: work } }), 'work', '');
});

test('what is sealed to a recipient opens with the same info and aad alone', async () => {
  const { sealTo } = await import('@keyward/policy/recipients');
  const on = new Harness('acme');
  const key = bytes('a public key');
  const seals = policy(allowed, {
    seal: { invoke: (_, { body }) => ({ body: sealTo(key, body, { info: 'i', aad: 'a' }) }) },
  });
  const sealed = on.caller('a').invoke(seals, 'seal', 'x').body;
  assert.equal(text(on.unseal(key, sealed, { info: 'i', aad: 'a' })), 'x');
  assert.throws(() => on.unseal(key, sealed, { info: 'i' }));
});

test('a policy remembers from one request to the next, for as long as it says', async () => {
  const { state } = await import('@keyward/policy/state');
  const on = new Harness('acme');
  const remembers = policy((request) => {
    const used = state.add(`used ${request.caller.subject}`, 1, { ttl: 60 });
    if (used > 2) throw new Denied('twice a minute');
    return Plan.allow();
  });
  const at = (time) => on.caller('a').time(time).authorize(remembers, 'encrypt');
  at(0);
  at(1);
  assert.throws(() => at(59_999), Denied);
  on.caller('b').time(2).authorize(remembers, 'encrypt');
  at(60_000);
  const work = () => {
    assert.equal(state.get('x'), undefined);
    const revision = state.putIf('x', 'one', 0n);
    assert.throws(() => state.putIf('x', 'two', 0n), Conflict);
    state.putIf('x', 'two', revision);
    assert.equal(text(state.get('x').value), 'two');
    assert.throws(() => state.remove('x', revision), Conflict);
    state.remove('x');
    state.put('y', 'not a counter');
    assert.throws(() => state.add('y'), Invalid);
    return { body: '' };
  };
  on.caller('a').invoke(policy(allowed, { work: { invoke: work } }), 'work', '');
});

test('bytes of another realm are bytes', () => {
  const foreign = runInNewContext('new Uint8Array([1, 2, 3])');
  assert.ok(!(foreign instanceof Uint8Array));
  assert.deepEqual(bytes(foreign), new Uint8Array([1, 2, 3]));
  const seen = [];
  const looks = policy(allowed, {
    look: { invoke: (request, { body }) => (seen.push(request.context, body), { body }) },
  });
  const request = { caller: { roles: [], claims: [] }, operation: 'invoke/look', context: foreign, time: 0n };
  looks.handler.invoke(request, { contentType: 'text/plain', body: foreign });
  assert.ok(seen.every((data) => data instanceof Uint8Array));
});

test('what a policy encrypts opens through a policy alone', () => {
  const on = new Harness('acme').key('main');
  const seal = { invoke: (_, { body }) => ({ body: openKey('main').seal(body) }) };
  const both = policy(allowed, { seal });
  const call = on.caller('a').key('main');
  const sealed = call.invoke(both, 'seal', 'x').body;
  assert.throws(() => call.decrypt(both, sealed), Invalid);
});

test('a decision is a plan or an error; anything else is a fault', () => {
  const call = new Harness('acme').key('main').caller('a').key('main');
  assert.throws(() => call.authorize(policy(() => true), 'encrypt'), TypeError);
  const refuses = policy((request) => {
    throw unknownOperation(request.operation);
  });
  assert.throws(() => call.authorize(refuses, 'sign'), Denied);
  const batch = policy((request) => {
    if (request.key === 'b') throw new Denied('not b');
    return Plan.allow();
  });
  const request = (key) => ({ caller: { roles: [], claims: [] }, operation: 'encrypt', key, time: 0n });
  const outcomes = batch.guard.authorizeMany([request('a'), request('b')]);
  assert.deepEqual(outcomes.map(({ tag }) => tag), ['ok', 'err']);
  assert.deepEqual(outcomes[1].val, { tag: 'denied', val: 'not b' });
});

test('a fault is logged where the policy may log', async () => {
  await import('@keyward/policy/log');
  const on = new Harness('acme').key('main');
  const faulty = policy(() => undefined.x);
  assert.throws(() => on.caller('a').authorize(faulty, 'encrypt'), TypeError);
  assert.equal(on.log[0].level, 'error');
  assert.match(on.log[0].fields.stack, /sdk\.test/);
});

test('a policy that makes no sense is refused when it is defined', () => {
  assert.throws(() => definePolicy({}), /authorize/);
  assert.throws(() => policy(allowed, { 'No!': { invoke: allowed } }), /No!/);
  assert.throws(() => policy(allowed, { fine: {} }), /invoke/);
  assert.throws(() => bytes(7), TypeError);
  assert.ok(new Denied('x') instanceof PolicyError);
});
