/**
 * Sets a clone up: dependencies, Node 24, the native program. Needs only Node >= 20, npm and a C compiler, so it is
 * plain JavaScript. Run by `npm start` and `npm test`; does nothing when nothing has changed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const nodeModules = join(root, 'node_modules');
const stampFile = join(nodeModules, '.nemoclaw-setup');
const say = (text) => process.stderr.write(`setup: ${text}\n`);

function fail(text) {
  say(text);
  process.exit(1);
}

/** Runs a program in the clone; its output is shown only when it fails. */
function run(program, args, whenItFails) {
  const result = spawnSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (result.error) fail(`${program}: ${result.error.message}. ${whenItFails}`);
  if (result.status !== 0) {
    process.stderr.write(result.stdout + result.stderr);
    fail(`${program} failed. ${whenItFails}`);
  }
  return result.stdout + result.stderr;
}

function checkMachine() {
  if (process.platform !== 'linux')
    fail('OpenShell needs Linux: its walls are made of namespaces, Landlock and seccomp.');
  if (!['x64', 'arm64'].includes(process.arch)) fail(`no support for ${process.arch} yet; x64 and arm64 work.`);
  const [major] = process.versions.node.split('.');
  if (Number(major) < 20) fail(`Node ${process.versions.node} is too old; install Node 20 or newer.`);
}

function installDependencies() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(process.arch)
    .digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return;
  const begin = Date.now();
  say('installing dependencies and Node 24 from npm (about 200 MB, once) …');
  // The npm that runs us, where there is one: the same configuration and registry.
  const npm = process.env.npm_execpath;
  const [program, args] = npm?.endsWith('.js')
    ? [process.env.npm_node_execpath ?? process.execPath, [npm]]
    : ['npm', []];
  run(
    program,
    // Not `ci`: it insists on lockfile entries for the platforms of others, and not every registry mirrors those.
    [
      ...args,
      'install',
      '--no-save',
      '--include=optional',
      '--include=dev',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ],
    'Check that the npm registry can be reached.',
  );
  writeFileSync(stampFile, wanted);
  say(`dependencies ready (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
}

function checkNode() {
  const node = join(nodeModules, `node-linux-${process.arch}`, 'bin', 'node');
  if (!existsSync(node)) fail(`Node 24 is missing (${node}). Remove node_modules and run this again.`);
  return node;
}

checkMachine();
installDependencies();
const node = checkNode();
process.stderr.write(
  run(node, [join(root, 'packages/sandbox/native/build.mjs')], 'The native program could not be built.'),
);
