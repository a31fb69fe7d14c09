import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ActionEvent, Event } from '@nemoclaw/audit';
import { compile, parsePolicy } from '@nemoclaw/policy';
import { KernelRecorder } from './kernel-recorder.ts';

const policy = compile(
  parsePolicy('version: 1\nfilesystem_policy:\n  read_only: [/usr]\n  read_write: [/project]\n', 'p.yaml'),
  {
    workdir: '/project',
  },
);

function recorder() {
  const events: Event[] = [];
  let count = 0;
  const log = {
    append: (event: Event) => {
      events.push(event);
      return { sequence: events.length, record: {} as never };
    },
    nextCorrelation: () => `c${count++}`,
  };
  return { events: events as ActionEvent[], recorder: new KernelRecorder('s', policy, log) };
}

const exec = (pid: number, ppid: number, path: string) => ({ kind: 'exec' as const, pid, ppid, path, argv: [path] });
const write = (path: string, pid = 9) => ({ kind: 'file', pid, operation: 'write', path }) as const;

test('a program started, with the programs above it', () => {
  const { events, recorder: it } = recorder();
  it.record(exec(10, 1, '/usr/bin/node'));
  it.record(exec(11, 10, '/usr/bin/sh'));
  it.record(exec(12, 11, '/usr/bin/curl'));
  assert.deepEqual(events[2]?.action.subject.processes?.[0]?.ancestors, ['/usr/bin/sh', '/usr/bin/node']);
  assert.equal(events[2]?.decision.effect, 'allow');
});

test('a write that the policy does not open is recorded as refused', () => {
  const { events, recorder: it } = recorder();
  it.record(write('/project/a'));
  it.record(write('/usr/bin/a'));
  it.record(write('/etc/passwd'));
  assert.deepEqual(
    events.map(({ decision, outcome }) => [decision.effect, outcome?.status]),
    [
      ['allow', undefined],
      ['deny', 'failure'],
      ['deny', 'failure'],
    ],
  );
});

test('what stores nothing is not recorded; a rename onto it is', () => {
  const { events, recorder: it } = recorder();
  for (const path of ['/dev/null', '/dev/tty', '/dev/pts/3']) it.record(write(path));
  assert.equal(events.length, 0);
  it.record({ kind: 'file', pid: 9, operation: 'rename', path: '/project/a', target: '/dev/null' });
  assert.equal(events.length, 1);
});

test('a process that is its own ancestor does not hold the recorder up', () => {
  const { events, recorder: it } = recorder();
  it.record(exec(10, 11, '/usr/bin/a'));
  it.record(exec(11, 10, '/usr/bin/b'));
  it.record(exec(10, 11, '/usr/bin/c'));
  assert.ok((events[2]?.action.subject.processes?.[0]?.ancestors.length ?? 0) <= 64);
});

test('a log that cannot be written is the caller’s to hear', () => {
  const log = {
    append: () => {
      throw new Error('disk full');
    },
    nextCorrelation: () => 'c',
  };
  assert.throws(() => new KernelRecorder('s', policy, log).record(write('/project/a')), /disk full/);
});
