import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ALLOW, architectures, assemble, type Decision, errno, type Instruction, KILL, NOTIFY } from './assemble.ts';
import { type Arch, allowListProgram, byNumber, notified, notifyProgram, syscallNumbers } from './filter.ts';
import { allowed, conditional, denied, ENOSYS, ruleTable } from './rules.ts';

const ARCHES: readonly Arch[] = ['x64', 'arm64'];

interface SyscallData {
  readonly nr: number;
  readonly audit: number;
  readonly args: readonly bigint[];
}

/** Runs classic BPF as the kernel does, on `struct seccomp_data`; forward jumps only, so it always ends. */
function interpret(program: readonly Instruction[], { nr, audit, args }: SyscallData): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(nr >>> 0, 0);
  data.writeUInt32LE(audit >>> 0, 4);
  args.forEach((arg, i) => {
    data.writeBigUInt64LE(BigInt.asUintN(64, arg), 16 + i * 8);
  });
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const instruction = program[at];
    assert.ok(instruction, 'a jump leaves the program');
    const { code, jt, jf, k } = instruction;
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += accumulator === k ? jt : jf;
    else if (code === 0x35) at += accumulator >= k ? jt : jf;
    else if (code === 0x45) at += (accumulator & k) !== 0 ? jt : jf;
    else if (code === 0x06) return k;
    else assert.fail(`unknown instruction ${code}`);
  }
}

/** What the table says, without BPF. */
function expected(decision: Decision, args: readonly bigint[]): number {
  if (typeof decision === 'number') return decision >>> 0;
  const value = args[decision.arg] ?? 0n;
  const low = Number(BigInt.asUintN(32, 'high' in decision && decision.high ? value >> 32n : value));
  const holds = 'any' in decision ? (low & decision.any) !== 0 : decision.in.some((one) => one >>> 0 === low);
  return expected(holds ? decision.yes : decision.no, args);
}

function parse(program: Uint8Array): Instruction[] {
  const bytes = Buffer.from(program);
  return Array.from({ length: bytes.length / 8 }, (_, i) => ({
    code: bytes.readUInt16LE(i * 8),
    jt: bytes.readUInt8(i * 8 + 2),
    jf: bytes.readUInt8(i * 8 + 3),
    k: bytes.readUInt32LE(i * 8 + 4),
  }));
}

/** Arguments near the values that rules ask about, in the low word, with anything in the high one. */
const word = fc.oneof(
  fc.constantFrom(
    0,
    1,
    2,
    3,
    6,
    8,
    10,
    16,
    17,
    40,
    4,
    0x5412,
    0x541c,
    0x5423,
    0o4755,
    0o2755,
    0o755,
    0x20000,
    0x10000000,
    0xffffffff,
  ),
  fc.nat(0xffffffff),
);
const argument = fc.tuple(word, fc.constantFrom(0n, 1n, 0xffffffffn)).map(([low, high]) => (high << 32n) | BigInt(low));
const args = fc.array(argument, { minLength: 6, maxLength: 6 });

for (const arch of ARCHES) {
  const { audit } = architectures[arch];
  const numbers = Object.values(syscallNumbers[arch]);
  const number = fc.oneof(fc.constantFrom(...numbers), fc.nat(1000), fc.nat(0x3fffffff));
  const programs = [
    ['allow-list', allowListProgram(arch), byNumber(arch, ruleTable()), ENOSYS],
    ['recording filter', notifyProgram(arch), byNumber(arch, Object.entries(notified)), ALLOW],
  ] as const;
  for (const [name, bytes, table, otherwise] of programs) {
    test(`${arch}: the ${name} decides as its table says`, () => {
      const program = parse(bytes);
      for (const nr of numbers) {
        const zeros = [0n, 0n, 0n, 0n, 0n, 0n];
        assert.equal(interpret(program, { nr, audit, args: zeros }), expected(table.get(nr) ?? otherwise, zeros));
      }
      fc.assert(
        fc.property(number, args, (nr, values) => {
          const decision = table.get(nr) ?? otherwise;
          assert.equal(interpret(program, { nr, audit, args: values }), expected(decision, values));
        }),
        { numRuns: 2000 },
      );
    });

    test(`${arch}: the ${name} kills calls of other architectures`, () => {
      const program = parse(bytes);
      fc.assert(
        fc.property(fc.nat(0xffffffff), number, args, (other, nr, values) => {
          fc.pre(other !== audit);
          assert.equal(interpret(program, { nr, audit: other, args: values }), KILL);
        }),
      );
      const i386 = 0x40000003;
      assert.equal(interpret(program, { nr: 20, audit: i386, args: [] }), KILL);
      if (arch === 'x64') assert.equal(interpret(program, { nr: 0x40000000 + 39, audit, args: [] }), KILL);
    });
  }
}

test('every name is known on some architecture, and stands in one list', () => {
  const lists = [...allowed, ...denied, ...Object.keys(conditional)];
  assert.deepEqual(
    lists.filter((name, i) => lists.indexOf(name) !== i),
    [],
  );
  const known = new Set(ARCHES.flatMap((arch) => Object.keys(syscallNumbers[arch])));
  assert.deepEqual(
    [...lists, ...Object.keys(notified)].filter((name) => !known.has(name)),
    [],
  );
});

test('what is recorded is allowed: the recording filter cannot widen the list, and misses none of it', () => {
  for (const name of Object.keys(notified)) assert.ok(ruleTable().has(name), name);
});

test('calls that newer kernels may add answer ENOSYS', () => {
  for (const arch of ARCHES) {
    const program = parse(allowListProgram(arch));
    const { audit } = architectures[arch];
    for (const nr of [470, 500, 1000, 100_000]) assert.equal(interpret(program, { nr, audit, args: [] }), ENOSYS);
  }
});

test('opens for reading are not notified, opens for writing are', () => {
  const program = parse(notifyProgram('x64'));
  const { audit } = architectures.x64;
  const openat = (flags: bigint) => interpret(program, { nr: 257, audit, args: [0n, 0n, flags, 0n, 0n, 0n] });
  assert.equal(openat(0o2000000n), ALLOW);
  for (const flags of [1n, 2n, 0o100n, 0o1000n]) assert.equal(openat(flags), NOTIFY);
});

test('tables of any shape assemble to what they say', () => {
  const decision: fc.Arbitrary<Decision> = fc.oneof(
    fc.constantFrom(ALLOW, errno(1), errno(38), NOTIFY),
    fc.record({
      arg: fc.nat(5),
      high: fc.boolean(),
      any: fc.nat(0xffff),
      yes: fc.constant(ALLOW),
      no: fc.constant(errno(1)),
    }),
    fc.record({
      arg: fc.nat(5),
      in: fc.array(word, { minLength: 1, maxLength: 20 }),
      yes: fc.constant(ALLOW),
      no: fc.constant(errno(1)),
    }),
  );
  const table = fc.array(fc.tuple(fc.nat(600), decision), { maxLength: 200 }).map((rows) => new Map(rows));
  fc.assert(
    fc.property(table, fc.array(fc.tuple(fc.nat(700), args), { minLength: 1, maxLength: 30 }), (rules, calls) => {
      const program = assemble(architectures.arm64, rules, errno(38));
      for (const [nr, values] of calls) {
        const want = expected(rules.get(nr) ?? errno(38), values);
        assert.equal(interpret(program, { nr, audit: architectures.arm64.audit, args: values }), want);
      }
    }),
    { numRuns: 200 },
  );
});
