import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isRoot } from './testing/fixture.ts';

/** Started by root, the tests that need a kernel run once more as a user who is nobody on this machine. */
const NOBODY = 60998;
const FILES = ['launch.test.ts', 'escape.test.ts', 'terminal.test.ts'];

function runAsNobody(file: string): Promise<{ code: number | null; output: string }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(
    process.execPath,
    ['--test', '--test-reporter=tap', '--test-timeout=30000', '--test-force-exit', file],
    {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
      env: { ...env, HOME: '/', PATH: '/usr/local/bin:/usr/bin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000,
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: null, output: error.message }));
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** Root may have cloned into a place that nobody else can enter. */
async function whyNot(): Promise<string | false> {
  if (!isRoot) return 'not root: the tests themselves run as an ordinary user';
  const probe = spawn(
    process.execPath,
    ['-e', `require('fs').readFileSync(${JSON.stringify(fileURLToPath(import.meta.url))})`],
    {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
      stdio: 'ignore',
    },
  );
  const code = await new Promise((resolve) => {
    probe.on('error', () => resolve(1));
    probe.on('exit', resolve);
  });
  accessSync(process.execPath, constants.X_OK);
  return code === 0 ? false : 'an ordinary user cannot read this checkout or run its Node';
}

const skip = await whyNot();
if (skip !== false) process.stderr.write(`the tests as an ordinary user are skipped: ${skip}\n`);

for (const name of FILES) {
  test(`as an ordinary user: ${name}`, { skip }, async () => {
    const { code, output } = await runAsNobody(fileURLToPath(new URL(`./${name}`, import.meta.url)));
    assert.equal(code, 0, output);
    assert.match(output, /# pass [1-9]/);
  });
}
