// From a policy's module to a component: bundle, see which interfaces of the host it imports, cut
// the contract's world down to these, and let ComponentizeJS put it together with its engine.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { componentize } from '@bytecodealliance/componentize-js';
import { build as bundle } from 'esbuild';

const CONTRACT = new URL('../wit/policy.wit', import.meta.url);
const PACKAGE = new URL('../package.json', import.meta.url);
const INTERFACE = /^keyward:policy\/([a-z]+)@/;
/** What of a web engine needs WASI: none of it is there in a policy. */
const WITHOUT = ['random', 'stdio', 'clocks', 'http', 'fetch-event'];

/** Builds `source` into the file `output`; gives the component's size and its permissions. */
export async function build(source, output) {
  const { code, permissions } = await bundled(resolve(source));
  const folder = await mkdtemp(join(tmpdir(), 'keyward-policy-'));
  try {
    const module = join(folder, 'policy.js');
    const contract = join(folder, 'policy.wit');
    await writeFile(module, code);
    await writeFile(contract, narrowed(await readFile(CONTRACT, 'utf8'), permissions));
    const { component } = await componentize({
      sourcePath: module,
      witPath: contract,
      worldName: 'policy',
      disableFeatures: WITHOUT,
    });
    const { name, version } = JSON.parse(await readFile(PACKAGE, 'utf8'));
    const made = Buffer.concat([component, section('keyward:sdk', `${name} ${version}`)]);
    await mkdir(dirname(resolve(output)), { recursive: true });
    await writeFile(output, made);
    return { size: made.length, permissions };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One module with everything in it but the host's functions, and which of these it imports. */
async function bundled(source) {
  const entry = [
    `import policy from ${JSON.stringify(source)};`,
    'export const { guard, handler } = policy;',
  ].join('\n');
  const result = await bundle({
    stdin: { contents: entry, resolveDir: dirname(source) },
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['keyward-component'],
    external: ['keyward:*'],
    logLevel: 'silent',
  }).catch((error) => {
    const first = error.errors?.[0];
    const place = first?.location && `${first.location.file}:${first.location.line}: `;
    throw new Error(first ? `${place ?? ''}${first.text}` : error.message);
  });
  const [output] = Object.values(result.metafile.outputs);
  const names = output.imports.map(({ path }) => path.match(INTERFACE)?.[1]);
  return { code: result.outputFiles[0].text, permissions: [...new Set(names)].sort() };
}

/** The contract with a world that imports these interfaces and no other. */
export function narrowed(contract, permissions) {
  return contract.replace(/^ {2}import ([a-z]+);\n/gm, (line, name) =>
    name === 'types' || permissions.includes(name) ? line : '',
  );
}

/**
 * A custom section, to be appended to a component: hosts and tools show what is in `keyward:sdk`, and
 * nothing depends on it. Lengths are below 128, so that each is one byte of LEB128.
 */
function section(name, text) {
  const content = Buffer.from(`${String.fromCharCode(name.length)}${name}${text}`, 'ascii');
  if (content.length > 127) {
    throw new RangeError('the section is too long');
  }
  return Buffer.concat([Buffer.from([0, content.length]), content]);
}
