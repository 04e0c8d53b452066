import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Denied, Invalid } from '@keyward/policy';
import { Harness } from '@keyward/policy/testing';

import policy from '../src/policy.js';
import { PURPOSES } from '../src/windows.js';

// A Wednesday; the wall's clock is an hour ahead.
const at = (time) => new Date(`2026-11-25T${time}:00+01:00`);
const host = () => new Harness('shop').key('orders');
const someone = (on, ...roles) => on.caller('someone', roles).key('orders');

test('what is written for a purpose is read for it, within its hours', () => {
  const on = host();
  const writer = someone(on, 'application').purpose('support');
  const ciphertext = writer.encrypt(policy, 'order 17');
  const reader = someone(on, 'support').purpose('support');
  for (const time of ['08:00', '12:30', '17:59']) {
    const opened = reader.time(at(time)).decrypt(policy, ciphertext);
    assert.equal(Buffer.from(opened).toString(), 'order 17');
  }
  for (const time of ['07:59', '18:00', '23:59', '00:00']) {
    assert.throws(() => reader.time(at(time)).decrypt(policy, ciphertext), Denied, time);
  }
  const sunday = new Date('2026-11-29T12:00:00+01:00');
  assert.throws(() => reader.time(sunday).decrypt(policy, ciphertext), Denied);
});

test('what was written for one purpose opens for no other', () => {
  const on = host();
  const ciphertext = someone(on, 'application').purpose('support').encrypt(policy, 'order 17');
  const reader = someone(on, 'on-call').purpose('emergency');
  assert.throws(() => reader.decrypt(policy, ciphertext), Invalid);
});

test('each purpose is read by its roles alone', () => {
  for (const [purpose, { roles }] of Object.entries(PURPOSES)) {
    for (const role of ['support', 'accountant', 'application', 'on-call', 'tenant-admin']) {
      const call = someone(host(), role).purpose(purpose).time(at('12:00'));
      const decide = () => call.authorize(policy, 'decrypt');
      roles.includes(role) ? decide() : assert.throws(decide, Denied);
    }
  }
});

test('a purpose must be given and known', () => {
  for (const purpose of [undefined, '', 'marketing', 'toString', '__proto__']) {
    const call = someone(host(), 'application');
    const asked = purpose === undefined ? call : call.purpose(purpose);
    for (const operation of ['encrypt', 'decrypt', 'datakey', 'rewrap']) {
      assert.throws(() => asked.authorize(policy, operation), Invalid);
    }
  }
});

test('what is read in an emergency is noted and logged', () => {
  const on = host();
  const plan = someone(on, 'on-call').purpose('emergency').authorize(policy, 'decrypt');
  assert.deepEqual(plan.obligations, [{ name: 'note', value: 'emergency' }]);
  assert.equal(on.log.length, 1);
  assert.equal(on.log[0].fields.subject, 'someone');
});

test('what it does not know it refuses', () => {
  const call = someone(host(), 'application', 'support').purpose('support');
  for (const operation of ['sign', 'invoke/x', '', 'toString']) {
    assert.throws(() => call.authorize(policy, operation), Denied);
  }
});
