// Makes policy.wasm of policy.js. A policy has no clock, no network and no randomness of its own,
// so these are left out: with them it would import what Keyward does not offer.
import { componentize } from '@bytecodealliance/componentize-js';
import { readFile, writeFile } from 'node:fs/promises';

const { component } = await componentize(await readFile('policy.js', 'utf8'), {
  sourceName: 'policy.js',
  witPath: 'wit',
  worldName: 'policy',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile('policy.wasm', component);
