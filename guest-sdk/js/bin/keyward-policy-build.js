#!/usr/bin/env node
// `npx keyward-policy-build src.js -o out.wasm`: a policy's module becomes a component.

import { parseArgs } from 'node:util';

import { build } from '../src/build.js';

const USAGE = 'usage: keyward-policy-build MODULE.js -o POLICY.wasm';

try {
  const { values, positionals } = parseArgs({
    options: { output: { type: 'string', short: 'o' } },
    allowPositionals: true,
  });
  if (positionals.length !== 1 || !values.output) {
    throw new Error(USAGE);
  }
  const { size, permissions } = await build(positionals[0], values.output);
  console.log(`${values.output}: ${size} bytes; imports ${permissions.join(', ') || 'nothing'}`);
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
