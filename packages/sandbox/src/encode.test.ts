import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { planLaunch } from './compose.ts';
import { encodePlan, PLAN_LIMITS, planChecksum } from './encode.ts';
import { LaunchError } from './error.ts';
import { launchWith } from './launch.ts';
import type { LaunchPlan, Step } from './plan.ts';
import { facts, scratch, testSpec } from './testing/fixture.ts';

const work = scratch();
const native = fileURLToPath(new URL('../native', import.meta.url));
const plan = planLaunch(testSpec(work, ['/bin/sh', '-c', 'echo x > f; exec /bin/true']), facts);
const encoded = Buffer.from(encodePlan(plan));

/** The decoder alone, with sanitizers. */
const decoder = join(work, 'decode');
execFileSync('cc', [
  ...[
    '-std=gnu11',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-O1',
    '-g',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
  ],
  ...[join(native, 'test', 'decode.c'), join(native, 'src', 'plan.c'), '-o', decoder],
]);

/** What the decoder says of each plan: `ok`, or why it refused. A crash fails the test. */
function decode(plans: readonly Uint8Array[]): string[] {
  const frames = plans.flatMap((bytes) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return [length, bytes];
  });
  const done = spawnSync(decoder, [], {
    input: Buffer.concat(frames),
    env: { ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1' },
    maxBuffer: 64 << 20,
  });
  assert.equal(done.status, 0, done.stderr.toString());
  return done.stdout.toString().trim().split('\n');
}

/** Sets length and checksum right, so that a change reaches the fields. */
function repair(bytes: Buffer): Buffer {
  if (bytes.length < 24) return bytes;
  const body = bytes.subarray(20, bytes.length - (bytes.length % 4));
  bytes.writeUInt32LE(body.length, 8);
  bytes.writeUInt32LE(planChecksum(body), 16);
  return bytes;
}

const tiny = (steps: readonly Step[]): LaunchPlan => ({ name: 't', steps, warnings: [], writable: [] });
const enter: Step = { op: 'enter', flags: 0, dropGroups: false, uidMap: '0 0 1', gidMap: '0 0 1', uid: 0, gid: 0 };

test('what is encoded is decoded', () => {
  assert.deepEqual(decode([encoded, encodePlan(tiny([enter, { op: 'finish' }]))]), ['ok', 'ok']);
});

test('any damage to a plan is found', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(encoded.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 60,
        maxLength: 60,
      }),
      (changes) => {
        const damaged = changes.map(([at, bits]) => {
          const copy = Buffer.from(encoded);
          copy[at] = (copy[at] ?? 0) ^ bits;
          return copy;
        });
        assert.ok(decode(damaged).every((outcome) => outcome !== 'ok'));
      },
    ),
    { numRuns: 5 },
  );
});

test('hostile plans with a right checksum are decoded or refused, never a crash', () => {
  const value = fc.oneof(fc.constantFrom(0, 1, 0xff, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff), fc.nat(200));
  const change = fc.tuple(fc.nat(encoded.length / 4 - 6), value);
  // The plan without its certificates is short: changes hit the fields of steps.
  const small = Buffer.from(
    encodePlan({ ...plan, steps: plan.steps.filter((step) => step.op !== 'file' || step.bytes.length < 100) }),
  );
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { minLength: 200, maxLength: 200 }),
      (all) => {
        const plans = all.map((changes) => {
          const copy = Buffer.from(small);
          for (const [at, word] of changes) copy.writeUInt32LE(word, 20 + ((at * 4) % (copy.length - 20)));
          return repair(copy);
        });
        for (const outcome of decode(plans)) seen.add(outcome);
      },
    ),
    { numRuns: 10 },
  );
  assert.ok(seen.size > 5, `many kinds of refusal: ${[...seen]}`);
});

test('cut, stretched and random plans are refused', () => {
  const cuts = [0, 3, 19, 20, 24, 28, 100, encoded.length - 4, encoded.length - 1].map((n) => encoded.subarray(0, n));
  const repaired = [24, 28, 100, 1000].map((n) => repair(Buffer.from(encoded.subarray(0, n))));
  const longer = repair(Buffer.concat([encoded, Buffer.alloc(8)]));
  const random = Array.from({ length: 50 }, (_, i) => Buffer.alloc(i * 7, `${i}\xff\0`));
  for (const outcome of decode([...cuts, ...repaired, longer, ...random])) assert.notEqual(outcome, 'ok');
});

test('steps in the wrong place, twice, or after the end are refused', () => {
  const finish: Step = { op: 'finish' };
  const outcomes = decode(
    [
      [finish],
      [enter],
      [enter, enter, finish],
      [{ op: 'pivot' }, enter, finish] satisfies Step[],
      [enter, finish, finish],
      [enter, { op: 'no_new_privileges' }, finish] satisfies Step[],
      [enter, { op: 'spawn' }, finish] satisfies Step[],
      [
        enter,
        { op: 'root', kind: 'tmpfs', options: {}, attributes: 0, path: '/tmp' },
        { op: 'directory', path: '/abs', mode: 0o755 },
        finish,
      ] satisfies Step[],
    ].map((steps) => encodePlan(tiny(steps))),
  );
  assert.deepEqual(outcomes, [
    'a step stands where it cannot run',
    'the plan does not end with its last step',
    'a step stands where it cannot run',
    'a step stands where it cannot run',
    'the plan does not end with its last step',
    'a step stands where it cannot run',
    'a step stands where it cannot run',
    'a path in the new root is absolute',
  ]);
});

test('values that the decoder would refuse are refused before', () => {
  const file = (path: string): LaunchPlan => tiny([enter, { op: 'file', path, mode: 0, bytes: Buffer.alloc(0) }]);
  assert.throws(() => encodePlan(file('a\0b')), LaunchError);
  assert.throws(() => encodePlan(file('x'.repeat(PLAN_LIMITS.path))), LaunchError);
  assert.throws(() => encodePlan(tiny(Array.from({ length: PLAN_LIMITS.steps + 1 }, () => enter))), LaunchError);
});

test('the whole program, with sanitizers', async (t) => {
  execFileSync(process.execPath, [join(native, 'build.mjs'), '--sanitize']);
  const binary = join(native, 'build', 'openshell-init-sanitized');
  await t.test('launches and records', async () => {
    const sandbox = await launchWith(binary, plan, ['pipe', 'pipe', 'pipe']);
    const kinds: string[] = [];
    sandbox.onEvent(({ kind }) => kinds.push(kind));
    sandbox.release();
    assert.deepEqual(await sandbox.exited, { code: 0 });
    assert.deepEqual(kinds, ['exec', 'file', 'exec']);
  });
  await t.test('refuses a plan that is none, and starts nothing', async () => {
    for (const bytes of [
      Buffer.from('garbage, and a good deal of it'),
      encoded.subarray(0, 5000),
      repair(Buffer.from(encoded.subarray(0, 4000))),
    ]) {
      const child = spawn(binary, ['run', String(process.pid)], {
        stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'ipc'],
        env: {},
      });
      let errors = '';
      child.stderr?.on('data', (chunk) => (errors += chunk));
      const control = child.stdio[3];
      assert.ok(control !== null && control !== undefined && 'end' in control);
      control.on('error', () => {});
      control.end(bytes);
      const code = await new Promise((resolve) => child.on('exit', resolve));
      assert.equal(code, 125);
      assert.equal(errors, '');
    }
  });
});
