import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Denied, text } from '@keyward/policy';
import { Harness } from '@keyward/policy/testing';

import policy from './policy.js';

const host = () => new Harness('acme').key('orders');

test('a purpose opens nothing else', () => {
  const shop = host().caller('shop', ['application']).key('orders');
  const ciphertext = shop.purpose('billing').encrypt(policy, '4111');
  assert.equal(text(shop.purpose('billing').decrypt(policy, ciphertext)), '4111');
  assert.throws(() => shop.purpose('marketing').decrypt(policy, ciphertext));
});

test('others do nothing', () => {
  const visitor = host().caller('visitor').key('orders').purpose('billing');
  assert.throws(() => visitor.encrypt(policy, '4111'), Denied);
});
