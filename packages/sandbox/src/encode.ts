import { LaunchError } from './error.ts';
import type { LaunchPlan, Step, StepName, Watch } from './plan.ts';

// The other half of this contract is native/src/plan.h; numbers and order are the same there.

export const PLAN_LIMITS = {
  /** Bytes of a whole plan. */
  bytes: 16 << 20,
  steps: 4096,
  slots: 512,
  /** Bytes of one path, its NUL included (PATH_MAX). */
  path: 4096,
  /** Bytes of one argument or variable, its NUL included (MAX_ARG_STRLEN). */
  text: 131072,
  /** Arguments, variables or candidates in one list. */
  texts: 65536,
} as const;

const MAGIC = 0x4e50534f;
const VERSION = 1;
const HEADER_BYTES = 20;
const NO_SLOT = 0xffffffff;
const NONE = 0xff;

const OPCODES: Readonly<Record<StepName, number>> = {
  monitor: 1,
  idmap: 2,
  tree: 3,
  enter: 4,
  hostname: 5,
  netlink: 6,
  socket: 7,
  root: 8,
  directory: 9,
  symlink: 10,
  file: 11,
  write: 12,
  mount: 13,
  attach: 14,
  attributes: 15,
  pivot: 16,
  terminal: 17,
  finish: 18,
  spawn: 19,
  rlimit: 20,
  no_new_privileges: 21,
  capabilities: 22,
  landlock: 23,
  landlock_path: 24,
  landlock_seal: 25,
  seccomp: 26,
  chdir: 27,
  exec: 28,
};

class Writer {
  #buffer = Buffer.alloc(64 << 10);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  #room(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > PLAN_LIMITS.bytes) throw new LaunchError('plan', 'the launch plan is larger than 16 MiB');
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }

  u8(value: number): void {
    const at = this.#room(1);
    this.#buffer.writeUInt8(value, at);
  }
  u32(value: number): void {
    const at = this.#room(4);
    this.#buffer.writeUInt32LE(value >>> 0, at);
  }
  u64(value: bigint | number): void {
    const at = this.#room(8);
    this.#buffer.writeBigUInt64LE(BigInt(value), at);
  }
  flag(value: boolean): void {
    this.u32(value ? 1 : 0);
  }
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    const at = this.#room(value.length);
    this.#buffer.set(value, at);
  }
  /** Text with its terminating NUL. */
  text(value: string, limit: number): void {
    if (value.includes('\0')) throw new LaunchError('plan', `a NUL byte in ${JSON.stringify(value)}`);
    const length = Buffer.byteLength(value) + 1;
    if (length > limit) throw new LaunchError('plan', `longer than ${limit} bytes: ${value.slice(0, 60)}…`);
    this.u32(length);
    const at = this.#room(length);
    this.#buffer.write(value, at);
    this.#buffer[at + length - 1] = 0;
  }
  path(value: string): void {
    this.text(value, PLAN_LIMITS.path);
  }
  texts(values: readonly string[]): void {
    if (values.length > PLAN_LIMITS.texts) throw new LaunchError('plan', `more than ${PLAN_LIMITS.texts} values`);
    this.u32(values.length);
    for (const value of values) this.text(value, PLAN_LIMITS.text);
  }
  align(): void {
    this.#room((4 - (this.#length % 4)) % 4);
  }
  patch(at: number, value: number): void {
    this.#buffer.writeUInt32LE(value >>> 0, at);
  }
  done(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

function writeWatches(out: Writer, watches: readonly Watch[]): void {
  out.u32(watches.length * 12);
  for (const watch of watches) {
    out.u32(watch.nr);
    for (const at of [watch.a, watch.b]) {
      out.u8(at?.dir ?? NONE);
      out.u8(at?.path ?? NONE);
    }
    for (const index of [watch.argv, watch.fd, watch.how]) out.u8(index ?? NONE);
    out.u8(0);
  }
}

/** The line of Node's IPC protocol that announces a socket (lib/internal/child_process.js). */
function handoffLine(role: 'tcp' | 'dns4' | 'dns6'): string {
  const handle =
    role === 'tcp' ? { type: 'net.Server' } : { type: 'dgram.Socket', dgramType: role === 'dns4' ? 'udp4' : 'udp6' };
  return `${JSON.stringify({ cmd: 'NODE_HANDLE', ...handle, msg: { role } })}\n`;
}

const pairs = (record: Readonly<Record<string, string>>) => Object.entries(record).map(([k, v]) => `${k}=${v}`);

function writeBody(out: Writer, step: Step): void {
  switch (step.op) {
    case 'monitor':
      writeWatches(out, step.watches);
      break;
    case 'idmap':
      out.u32(step.slot);
      out.path(step.uidMap);
      out.path(step.gidMap);
      break;
    case 'tree':
      out.u32(step.slot);
      out.path(step.source);
      out.u64(step.attributes);
      out.u32(step.idmap ?? NO_SLOT);
      break;
    case 'enter':
      out.u32(step.flags);
      out.flag(step.dropGroups);
      out.path(step.uidMap);
      out.path(step.gidMap);
      out.u32(step.uid);
      out.u32(step.gid);
      break;
    case 'hostname':
      out.text(step.name, 65);
      break;
    case 'netlink':
      out.u32(step.protocol);
      out.u32(step.acks);
      out.flag(step.keep);
      out.bytes(step.bytes);
      break;
    case 'socket':
      out.u32(step.domain);
      out.u32(step.type);
      out.u32(step.backlog);
      out.bytes(step.address);
      out.u32(step.options.length);
      for (const option of step.options) for (const value of [option.level, option.name, option.value]) out.u32(value);
      out.path(step.handoff === undefined ? '' : handoffLine(step.handoff));
      break;
    case 'root':
    case 'mount':
      out.text(step.kind, 64);
      out.texts(pairs(step.options));
      out.u64(step.attributes);
      out.path(step.path);
      break;
    case 'directory':
      out.path(step.path);
      out.u32(step.mode);
      break;
    case 'symlink':
      out.path(step.target);
      out.path(step.path);
      break;
    case 'file':
      out.path(step.path);
      out.u32(step.mode);
      out.bytes(step.bytes);
      break;
    case 'write':
      out.path(step.path);
      out.bytes(step.bytes);
      break;
    case 'attach':
      out.u32(step.slot);
      out.path(step.path);
      break;
    case 'attributes':
      out.path(step.path);
      out.u64(step.attributes);
      out.flag(step.recursive);
      break;
    case 'rlimit':
      out.u32(step.resource);
      out.u64(step.soft);
      out.u64(step.hard);
      break;
    case 'landlock':
      for (const mask of [step.fs, step.net, step.scoped]) out.u64(mask);
      out.u32(step.size);
      break;
    case 'landlock_path':
      out.path(step.path);
      out.u64(step.access);
      break;
    case 'landlock_seal':
      out.u32(step.flags);
      break;
    case 'seccomp':
      out.u32(step.flags);
      out.flag(step.listener);
      out.bytes(step.program);
      break;
    case 'chdir':
      out.path(step.path);
      break;
    case 'exec':
      out.texts(step.candidates);
      out.texts(step.argv);
      out.texts(pairs(step.env));
      break;
    case 'pivot':
    case 'terminal':
    case 'finish':
    case 'spawn':
    case 'no_new_privileges':
    case 'capabilities':
      break;
  }
}

/** FNV-1a over the 32-bit words of the body: catches damage, not malice. */
export function planChecksum(body: Uint8Array): number {
  const words = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let hash = 0x811c9dc5;
  for (let at = 0; at < body.length; at += 4) hash = Math.imul(hash ^ words.getUint32(at, true), 0x01000193);
  return hash >>> 0;
}

/**
 * The bytes that `openshell-init` reads: magic, version, length of the body, number of steps, checksum (u32 each,
 * little-endian); then for each step its opcode, the length of its fields (u32 each) and the fields, padded to 4.
 * @throws LaunchError when a value exceeds {@link PLAN_LIMITS} or holds a NUL byte
 */
export function encodePlan(plan: LaunchPlan): Uint8Array {
  if (plan.steps.length > PLAN_LIMITS.steps) {
    throw new LaunchError('plan', `the plan has more than ${PLAN_LIMITS.steps} steps`, 'List fewer paths.');
  }
  const out = new Writer();
  for (let i = 0; i < HEADER_BYTES / 4; i++) out.u32(0);
  for (const step of plan.steps) {
    out.u32(OPCODES[step.op]);
    const lengthAt = out.length;
    out.u32(0);
    writeBody(out, step);
    out.align();
    out.patch(lengthAt, out.length - lengthAt - 4);
  }
  const body = out.done().subarray(HEADER_BYTES);
  [MAGIC, VERSION, body.length, plan.steps.length, planChecksum(body)].forEach((v, i) => {
    out.patch(i * 4, v);
  });
  return out.done();
}
