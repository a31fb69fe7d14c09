import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decide } from '../decide.ts';
import { limits } from '../limits.ts';
import { policyOf } from '../testing/actions.ts';
import type { Decision, FileOperation, FileWrite } from '../vocabulary.ts';
import { fileAccess } from './filesystem.ts';

const subject = { sandbox: 'test' };

function write(path: string, operation: FileOperation = 'write', target?: string): FileWrite {
  return { kind: 'file.write', subject, path, operation, ...(target !== undefined && { target }) };
}

const nested = policyOf(`filesystem_policy:
  include_workdir: true
  read_only: [/usr, /project/.git/hooks, /data/locked]
  read_write: [/data, /usr/local/cache, /etc/app.conf]
`);

test('the longest listed prefix decides, by whole components', () => {
  const expected = {
    '/usr/bin/curl': 'read',
    '/usr': 'read',
    '/usrlocal': 'none',
    '/usr/local/cache/x': 'write',
    '/data/x/y': 'write',
    '/data/locked': 'read',
    '/data/locked/x': 'read',
    '/data/lockedx': 'write',
    '/project': 'write',
    '/project/src/main.ts': 'write',
    '/project/.git/hooks/pre-commit': 'read',
    '/etc/app.conf': 'write',
    '/etc/passwd': 'none',
    '/home/user/.ssh/id_ed25519': 'none',
    '/': 'none',
  };
  for (const [path, access] of Object.entries(expected)) assert.equal(fileAccess(nested, path), access, path);
});

test('what every sandbox has, and what it has not', () => {
  const empty = policyOf('');
  const expected = {
    '/dev/null': 'write',
    '/dev/shm/x': 'write',
    '/dev/pts/0': 'write',
    '/dev/fd/3': 'write',
    '/dev/sda': 'none',
    '/dev': 'none',
    '/proc/cpuinfo': 'read',
    '/proc/sys/kernel/core_pattern': 'read',
    '/proc/self/oom_score_adj': 'write',
    '/proc/42/comm': 'write',
    '/proc/42x/comm': 'read',
    '/sandbox/.cache/x': 'write',
    '/tmp/x': 'none',
    '/project/x': 'none',
    '/usr/bin/curl': 'none',
  };
  for (const [path, access] of Object.entries(expected)) assert.equal(fileAccess(empty, path), access, path);
});

test('a listing replaces what the sandbox has at the same path', () => {
  const policy = policyOf(
    'filesystem_policy: { read_only: [/sandbox, /dev/urandom, /project], include_workdir: true }',
  );
  assert.equal(fileAccess(policy, '/sandbox/x'), 'read');
  assert.equal(fileAccess(policy, '/dev/urandom'), 'read');
  assert.equal(fileAccess(policy, '/project/x'), 'read');
});

test('a path that is not in its one spelling is nowhere, or where it belongs', () => {
  for (const path of ['', 'usr/bin', '/usr/../etc/shadow', '/usr/\0', `/usr/${'a'.repeat(limits.pathLength)}`]) {
    assert.equal(fileAccess(nested, path), 'none', path);
  }
  for (const path of ['//usr//bin', '/usr/./bin', '/usr/']) assert.equal(fileAccess(nested, path), 'read', path);
});

test('a huge path costs little', () => {
  const started = performance.now();
  assert.equal(fileAccess(nested, '/x'.repeat(500_000)), 'none');
  assert.ok(performance.now() - started < 1000);
});

test('agrees with the definition on random trees', () => {
  const part = fc.constantFrom('a', 'b', 'c');
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
  const listing = fc.uniqueArray(fc.tuple(path, fc.boolean()), { selector: ([listed]) => listed, maxLength: 6 });
  fc.assert(
    fc.property(listing, path, (listed, asked) => {
      const list = (writable: boolean) => listed.filter(([, flag]) => flag === writable).map(([text]) => text);
      const policy = policyOf(
        `filesystem_policy: ${JSON.stringify({ read_only: list(false), read_write: list(true) })}`,
      );
      const covering = listed.filter(([text]) => asked === text || asked.startsWith(`${text}/`));
      const longest = covering.sort(([left], [right]) => right.length - left.length)[0];
      assert.equal(fileAccess(policy, asked), longest === undefined ? 'none' : longest[1] ? 'write' : 'read');
    }),
  );
});

function summary({ effect, rule, allowWith }: Decision): unknown[] {
  return [effect, rule.id, allowWith];
}

test('decisions name the line, and what would permit', () => {
  assert.deepEqual(summary(decide(nested, write('/data/x'))), ['allow', 'filesystem_policy.read_write[0]', undefined]);
  assert.deepEqual(decide(nested, write('/data/x')).rule.line, 5);
  assert.deepEqual(summary(decide(nested, write('/home/u/x'))), [
    'deny',
    'default:filesystem_policy',
    'filesystem_policy:\n  read_write:\n    - /home/u/x\n',
  ]);
  assert.deepEqual(summary(decide(nested, write('/home/u/x', 'create'))), [
    'deny',
    'default:filesystem_policy',
    'filesystem_policy:\n  read_write:\n    - /home/u\n',
  ]);
  assert.deepEqual(summary(decide(nested, { kind: 'file.read', subject, path: '/home/u/.ssh/key' })), [
    'deny',
    'default:filesystem_policy',
    'filesystem_policy:\n  read_only:\n    - /home/u/.ssh/key\n',
  ]);
  const exec = decide(nested, { kind: 'process.exec', subject, path: '/usr/bin/git', argv: ['git'] });
  assert.deepEqual(summary(exec), ['allow', 'filesystem_policy.read_only[0]', undefined]);
  // Nothing can be listed that would permit these.
  for (const path of ['/proc/sys/kernel/x', '/sys/x', '/dev/sda', '/x', 'relative', '/a/../b', '/data/locked/x']) {
    assert.equal(decide(nested, write(path, 'create')).effect, 'deny', path);
    assert.equal(decide(nested, write(path, 'create')).allowWith, undefined, path);
  }
});

test('a rename or a link needs both ends', () => {
  for (const operation of ['rename', 'link'] as const) {
    assert.equal(decide(nested, write('/data/a', operation, '/project/b')).effect, 'allow');
    assert.equal(decide(nested, write('/data/a', operation, '/usr/bin/b')).effect, 'deny');
    assert.equal(decide(nested, write('/usr/bin/a', operation, '/data/b')).effect, 'deny');
  }
  // What a symbolic link says is not a place that is written.
  assert.equal(decide(nested, write('/data/a', 'symlink', '/etc/shadow')).effect, 'allow');
});
