// Uses all of the SDK, and misbehaves on request: what the end-to-end tests run in the image engine.

import { Conflict, definePolicy, Invalid, NotFound, Plan, text } from '@keyward/policy';
import { openKey } from '@keyward/policy/keys';
import { log } from '@keyward/policy/log';
import { randomBytes } from '@keyward/policy/random';
import { sealTo } from '@keyward/policy/recipients';
import { state } from '@keyward/policy/state';
import { DIGITS, randomToken } from '@keyward/policy/tokens';
import '@keyward/policy/sealing';
import '@keyward/policy/opening';
import '@keyward/policy/macs';
import '@keyward/policy/signing';
import '@keyward/policy/verifying';
import '@keyward/policy/index-terms';

/** Would tell one request of another, if anything outlived a request. */
let calls = 0;

const misdeeds = {
  loop() {
    for (;;);
  },
  grow() {
    const kept = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
  },
  recurse() {
    const deeper = (n) => 1 + deeper(n + 1);
    return deeper(0);
  },
  fault() {
    return undefined.nothing;
  },
  clock() {
    return String(Date.now());
  },
  random() {
    return String(Math.random());
  },
};

/** Everything a key can do; names what did not come out as it should. */
function everything() {
  const wrong = [];
  const check = (name, good) => good || wrong.push(name);
  const kind = (type, work) => {
    try {
      work();
    } catch (error) {
      return error instanceof type;
    }
    return false;
  };
  const aead = openKey('main');
  check('name', aead.name === 'main' && aead.version === 1 && aead.algorithm === 'xaes256-gcm');
  check('attribute', aead.attribute('none') === undefined);
  const sealed = aead.seal('text', 'place');
  check('open', text(aead.open(sealed, 'place')) === 'text');
  check('aad', kind(Invalid, () => aead.open(sealed, 'elsewhere')));
  const many = aead.sealMany([{ data: 'a' }, { data: 'b', aad: 'place' }]);
  const [a, b] = aead.openMany([{ data: many[0] }, { data: many[1] }]);
  check('many', text(a) === 'a' && b instanceof Invalid);
  check('none', kind(NotFound, () => openKey('none')));
  check('version', kind(NotFound, () => openKey('main', 9)));
  const mac = openKey('mac');
  check('mac', mac.verifyMac('x', mac.mac('x')) && !mac.verifyMac('y', mac.mac('x')));
  check('term', String(mac.terms('f', 'x')[0]) === String(mac.term('f', 'x')));
  const sign = openKey('sign');
  const signature = sign.sign('x');
  check('verify', sign.verify('x', signature) === 1 && sign.verify('y', signature) === undefined);
  check('public', sign.publicKey().length > 40);
  check('random', String(randomBytes(16)) !== String(randomBytes(16)));
  const cards = openKey('siv');
  const token = cards.tokenize(DIGITS, '4111111111111111', 'card');
  check('token', /^[0-9]{16}$/.test(token) && cards.reveal(DIGITS, token, 'card').startsWith('4111'));
  check('random token', /^[ab]{8}$/.test(randomToken('ab', 8)));
  check('recipient', sealTo(openKey('hpke').publicKey(), 'text', { info: 'i' }).length === 32 + 4 + 16);
  const revision = state.putIf('x', 'one', 0n);
  check('state', text(state.get('x').value) === 'one' && state.get('x').revision === revision);
  check('conflict', kind(Conflict, () => state.putIf('x', 'two', 0n)));
  check('removed', (state.remove('x', revision), state.get('x') === undefined));
  check('counter', state.add('n', 3, { ttl: 60 }) === 3 && state.add('n', -1) === 2);
  check('kept', (state.put('y', 'z'), text(state.get('y').value) === 'z'));
  log.info('everything was tried', { wrong: wrong.length });
  return wrong.join(' ') || 'all';
}

const answer = (body) => ({ contentType: 'text/plain', body });

export default definePolicy({
  authorize(request) {
    misdeeds[request.purpose]?.();
    return Plan.allow();
  },
  operations: {
    everything: { description: 'Uses every permission.', invoke: () => answer(everything()) },
    count: { invoke: () => answer(String((calls += 1))) },
    echo: { invoke: (request, payload) => payload },
    do: { invoke: (request, { body }) => answer(String(misdeeds[text(body)]())) },
  },
});
