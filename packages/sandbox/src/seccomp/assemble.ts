/**
 * A small assembler for seccomp programs: a table from system call numbers to decisions becomes classic BPF
 * (seccomp(2), Documentation/userspace-api/seccomp_filter.rst).
 */

/** A BPF instruction: `struct sock_filter`. */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** What a filter answers: an action, or a question about one argument with an answer to each outcome. */
export type Decision =
  | number
  /** Is any bit of `any` set in the low word of the argument, or in its high one? */
  | {
      readonly arg: number;
      readonly high?: boolean;
      readonly any: number;
      readonly yes: Decision;
      readonly no: Decision;
    }
  /** Is the low word of the argument one of `in`? */
  | { readonly arg: number; readonly in: readonly number[]; readonly yes: Decision; readonly no: Decision };

/** Actions (seccomp(2)). */
export const ALLOW = 0x7fff0000;
export const NOTIFY = 0x7fc00000;
export const KILL = 0x80000000;
export const errno = (value: number): number => 0x00050000 | value;

/** `struct seccomp_data`: offsets of the number, the architecture and a word of an argument. */
const NR = 0;
const ARCH = 4;
const argument = (index: number, high: boolean) => 16 + index * 8 + (high ? 4 : 0);

const LOAD = 0x20;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const op = (code: number, k: number, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k: k >>> 0 });

/** The kernel's limit on one program (BPF_MAXINSNS). */
export const MAX_INSTRUCTIONS = 4096;

export interface Architecture {
  /** AUDIT_ARCH_* */
  readonly audit: number;
  /** Numbers from here on belong to another ABI of the same architecture (x32). */
  readonly foreignFrom?: number;
}

export const architectures: Readonly<Record<'x64' | 'arm64', Architecture>> = {
  x64: { audit: 0xc000003e, foreignFrom: 0x40000000 },
  arm64: { audit: 0xc00000b7 },
};

/** Jumps of more than 255 instructions need the long form. */
function branch(code: number, k: number, yes: readonly Instruction[], no: readonly Instruction[]): Instruction[] {
  if (no.length <= 255) return [op(code, k, no.length, 0), ...no, ...yes];
  return [op(code, k, 0, 1), op(JUMP, no.length), ...no, ...yes];
}

function decide(decision: Decision): Instruction[] {
  if (typeof decision === 'number') return [op(RETURN, decision)];
  const load = op(LOAD, argument(decision.arg, 'high' in decision && decision.high === true));
  const yes = decide(decision.yes);
  const no = decide(decision.no);
  if ('any' in decision) return [load, ...branch(JUMP_ANY_BIT, decision.any, yes, no)];
  const tests = decision.in.map((value, i) => op(JUMP_EQUAL, value, decision.in.length - 1 - i + no.length, 0));
  if (tests.some((test) => test.jt > 255)) throw new RangeError('a seccomp question has too many values');
  return [load, ...tests, ...no, ...yes];
}

interface Range {
  readonly from: number;
  readonly decision: Decision;
}

/** Splits all numbers into ranges of one decision each, in order. */
function ranges(table: ReadonlyMap<number, Decision>, otherwise: Decision): Range[] {
  const result: Range[] = [{ from: 0, decision: otherwise }];
  const add = (from: number, decision: Decision) => {
    const last = result.at(-1);
    if (last?.decision === decision) return;
    if (last?.from === from) result.pop();
    if (result.at(-1)?.decision !== decision) result.push({ from, decision });
  };
  for (const [nr, decision] of [...table].sort(([a], [b]) => a - b)) {
    add(nr, decision);
    if (!table.has(nr + 1)) add(nr + 1, otherwise);
  }
  return result;
}

/** A binary search tree over the ranges: every call is decided after about log2(ranges) comparisons. */
function search(all: readonly Range[], low: number, high: number): Instruction[] {
  const first = all[low];
  if (first !== undefined && low + 1 === high) return decide(first.decision);
  const middle = (low + high) >> 1;
  const pivot = all[middle];
  if (pivot === undefined) throw new RangeError('an empty seccomp table');
  return branch(JUMP_AT_LEAST, pivot.from, search(all, middle, high), search(all, low, middle));
}

/**
 * Assembles a program. Calls of another architecture, or of a foreign ABI of this one, kill the process: their
 * numbers mean other calls.
 */
export function assemble(
  architecture: Architecture,
  table: ReadonlyMap<number, Decision>,
  otherwise: Decision,
): Instruction[] {
  const { audit, foreignFrom } = architecture;
  const all = ranges(table, otherwise);
  const program = [op(LOAD, ARCH), op(JUMP_EQUAL, audit, 1, 0), op(RETURN, KILL), op(LOAD, NR)];
  if (foreignFrom !== undefined) program.push(op(JUMP_AT_LEAST, foreignFrom, 0, 1), op(RETURN, KILL));
  program.push(...search(all, 0, all.length));
  if (program.length > MAX_INSTRUCTIONS) throw new RangeError('a seccomp program is too long');
  return program;
}

/** `struct sock_filter[]`, little-endian. */
export function encodeProgram(program: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, jt, jf, k }, i) => {
    bytes.writeUInt16LE(code, i * 8);
    bytes.writeUInt8(jt, i * 8 + 2);
    bytes.writeUInt8(jf, i * 8 + 3);
    bytes.writeUInt32LE(k, i * 8 + 4);
  });
  return bytes;
}
