import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildProgram, scratch } from './testing/fixture.ts';

const work = scratch();
let attacks = '';
before(() => {
  attacks = buildProgram('attacks', work);
});

type Action = { expect: string } | { type: string } | { size: [rows: number, columns: number] };

/** Runs a command in a sandbox whose supervisor sits on a terminal, and plays the actions to that terminal. */
async function play(command: readonly string[], actions: readonly Action[]) {
  const harness = fileURLToPath(new URL('./testing/terminal.py', import.meta.url));
  const supervisor = fileURLToPath(new URL('./testing/run-on-terminal.ts', import.meta.url));
  const child = spawn('/usr/bin/python3', [harness, process.execPath, supervisor, work, ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(actions.map((action) => `${JSON.stringify(action)}\n`).join(''));
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  const result: { status: number | null; output: string; sane: boolean } = JSON.parse(text);
  assert.notEqual(result.status, null, `timed out:\n${result.output}`);
  return result;
}

test('the command gets a terminal of the sandbox, of the operator’s size, and its status arrives', async () => {
  const { status, output, sane } = await play(
    ['sh', '-c', 'tty; stty size; read line; stty size; ls -l /proc/self/fd; exit 5'],
    [{ expect: '24 80' }, { size: [33, 99] }, { type: 'go\r' }, { expect: '33 99' }],
  );
  assert.match(output, /\/dev\/pts\/0\r\n24 80/);
  for (const fd of [0, 1, 2]) assert.match(output, new RegExp(` ${fd} -> /dev/pts/0\r`));
  assert.equal(status, 5);
  assert.ok(sane, 'the operator’s terminal is as it was');
});

test('Ctrl-C interrupts the command and not the supervisor', async () => {
  const { status, output, sane } = await play(
    ['sh', '-c', 'trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.05; done'],
    [{ expect: 'ready' }, { type: '\x03' }, { expect: 'caught' }],
  );
  assert.match(output, /caught/);
  assert.equal(status, 3);
  assert.ok(sane);
});

test('job control works in a shell', async () => {
  const { status, output } = await play(
    ['/bin/bash', '--norc', '-i'],
    [
      { expect: '$ ' },
      // Quoted apart, so that what is expected is the output and not the echo of what was typed.
      { type: `sh -c "echo sta''rted; exec sleep 100"\r` },
      { expect: 'started' },
      { type: '\x1a' },
      { expect: 'Stopped' },
      // The first exit may only warn that a job is stopped.
      { type: 'kill -KILL %1; exit 4\rexit 4\r' },
    ],
  );
  assert.match(output, /Stopped/);
  assert.equal(status, 4);
});

test('nothing can be typed into a terminal from inside', async () => {
  const refused = await play([attacks, 'tiocsti'], []);
  assert.match(refused.output, /tiocsti\tEPERM/);
  // Control: without the filter the kernel's own setting decides (dev.tty.legacy_tiocsti).
  const free = await play(['--unfiltered', attacks, 'tiocsti'], []);
  assert.match(free.output, /tiocsti\t(ok|EIO)/);
});

test('only what was a terminal becomes one', async () => {
  const { output } = await play(['sh', '-c', '[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all'], []);
  assert.match(output, /all/);
});
