// Generates `types/wit`, the contract's types, and copies the contract.
//
//   node scripts/generate.js [--check] [CONTRACT]
//
// With `--check` nothing is written; it fails where what is there is not what would be.

import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { types } from '@bytecodealliance/jco';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** What is to be there: text by path, below the package. */
async function generated(contract) {
  const files = new Map([['wit/policy.wit', await readFile(contract, 'utf8')]]);
  const written = await types(contract, { worldName: 'policy' });
  for (const [path, content] of Object.entries(written)) {
    const name = path.replace(/^.*interfaces\//, '');
    if (name.startsWith('keyward-policy-')) {
      const text = typeof content === 'string' ? content : Buffer.from(content).toString();
      files.set(`types/wit/${name}`, text);
    }
  }
  return files;
}

const [check, rest] = [process.argv.includes('--check'), process.argv.slice(2)];
const contract = rest.find((word) => word !== '--check') ?? here('../../wit/policy.wit');
const files = await generated(contract);
if (check) {
  const stale = [];
  for (const [path, text] of files) {
    if ((await readFile(here(path), 'utf8').catch(() => undefined)) !== text) {
      stale.push(path);
    }
  }
  for (const name of await readdir(here('types/wit'))) {
    if (!files.has(`types/wit/${name}`)) {
      stale.push(`types/wit/${name}`);
    }
  }
  if (stale.length) {
    console.error(`not what wit/policy.wit gives: ${stale.join(', ')}; run scripts/generate.js`);
    process.exitCode = 1;
  }
} else {
  await rm(here('types/wit'), { recursive: true, force: true });
  await mkdir(here('types/wit'), { recursive: true });
  for (const [path, text] of files) {
    await writeFile(here(path), text);
  }
}
