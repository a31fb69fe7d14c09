import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handledRights, landlockSteps, RIGHT, rightsFor } from './landlock.ts';
import type { View } from './view.ts';

const view: View = {
  entries: [
    { kind: 'symlink', target: '/bin', to: 'usr/bin' },
    { kind: 'bind', target: '/usr', source: '/usr', write: false, directory: true },
    { kind: 'bind', target: '/w', source: '/w', write: true, directory: true },
    { kind: 'bind', target: '/w/f', source: '/w/f', write: false, directory: false },
    { kind: 'tmpfs', target: '/tmp', write: true, directory: true },
  ],
  etc: true,
  procWritable: false,
  warnings: [],
};

test('each ABI handles the rights that it knows', () => {
  assert.equal(handledRights(1), 0x1fffn);
  assert.equal(handledRights(2), 0x3fffn);
  assert.equal(handledRights(3), 0x7fffn);
  assert.equal(handledRights(4), 0x7fffn);
  assert.equal(handledRights(5), 0xffffn);
  assert.equal(handledRights(7), 0xffffn);
});

test('no rule grants what its ABI does not handle, or nothing at all', () => {
  for (let abi = 1; abi <= 9; abi++) {
    const steps = landlockSteps(view, ['null'], abi);
    const [first] = steps;
    assert.ok(first?.op === 'landlock');
    assert.equal(first.size, abi >= 6 ? 24 : abi >= 4 ? 16 : 8);
    assert.equal(first.scoped, abi >= 6 ? 3n : 0n);
    assert.equal(first.net, 0n);
    for (const step of steps) {
      if (step.op !== 'landlock_path') continue;
      assert.equal(step.access & ~first.fs, 0n, step.path);
      assert.notEqual(step.access, 0n, step.path);
    }
    assert.equal(steps.at(-1)?.op, 'landlock_seal');
  }
  assert.deepEqual(landlockSteps(view, ['null'], 0), []);
});

test('read-only grants no way to change anything', () => {
  const changing =
    RIGHT.writeFile |
    RIGHT.removeDir |
    RIGHT.removeFile |
    RIGHT.makeChar |
    RIGHT.makeDir |
    RIGHT.makeRegular |
    RIGHT.makeSocket |
    RIGHT.makeFifo |
    RIGHT.makeBlock |
    RIGHT.makeSymlink |
    RIGHT.refer |
    RIGHT.truncate;
  for (const directory of [true, false]) assert.equal(rightsFor({ write: false, directory }) & changing, 0n);
  for (const path of ['.', 'usr', 'etc', 'proc']) {
    const rule = landlockSteps(view, [], 7).find((step) => step.op === 'landlock_path' && step.path === path);
    assert.ok(rule?.op === 'landlock_path');
    assert.equal(rule.access & changing, 0n, path);
  }
});

test('files get only rights that apply to files, and nobody makes device nodes', () => {
  const onlyDirectories =
    RIGHT.readDir | RIGHT.removeDir | RIGHT.removeFile | RIGHT.makeDir | RIGHT.makeRegular | RIGHT.refer;
  for (const write of [true, false]) assert.equal(rightsFor({ write, directory: false }) & onlyDirectories, 0n);
  assert.equal(
    rightsFor({ write: true, directory: true }) & (RIGHT.makeChar | RIGHT.makeBlock | RIGHT.ioctlDevice),
    0n,
  );
});
