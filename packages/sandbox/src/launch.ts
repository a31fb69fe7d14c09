import { type ChildProcess, spawn } from 'node:child_process';
import { Socket as DatagramSocket } from 'node:dgram';
import { Server, Socket } from 'node:net';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { INIT_BINARY } from './binary.ts';
import { encodePlan } from './encode.ts';
import { LaunchError } from './error.ts';
import { describeFailure } from './failure.ts';
import { type KernelEvent, RECORD, recordEvents } from './monitor.ts';
import type { Handoff, LaunchPlan } from './plan.ts';
import { RecordReader } from './records.ts';
import type { Arch } from './seccomp/filter.ts';

export type Stdio = readonly [number | 'pipe', number | 'pipe', number | 'pipe'];

export interface LaunchOptions {
  /** Descriptors 0-2 of the command. Default: the supervisor's own. */
  readonly stdio?: Stdio;
}

export interface Exit {
  /** The command's exit status, or 128 + the signal that ended it. 126/127: it could not be started. */
  readonly code: number;
  /** Why the command could not be started, or what ended the sandbox. */
  readonly failure?: LaunchError;
}

/** A sandbox that is up. Its command waits until `release()`. */
export interface RunningSandbox {
  /** PID 1 of the sandbox, in the host's pid namespace. */
  readonly initPid: number;
  /** Receives every TCP connection made inside, whatever its address and port. Closed when the sandbox ends. */
  readonly tcp: Server;
  /** UDP port 53 inside, IPv4 and (where the host has it) IPv6. Closed when the sandbox ends. */
  readonly dns: readonly DatagramSocket[];
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** A listener that throws ends the sandbox: what cannot be recorded must not go on. */
  onEvent(listener: (event: KernelEvent) => void): void;
  /** Lets the command start: everything is attached. */
  release(): void;
  /** To the command's process group. What a terminal sends to the supervisor's own group is for it to pass on. */
  signal(name: NodeJS.Signals): void;
  /** Everything inside, at once, however many processes there are. */
  kill(): void;
  /** Resolves when nothing of the sandbox is left. */
  readonly exited: Promise<Exit>;
}

const CONTROL = 3;
const ORPHAN_CHECK_MS = 5;
const ORPHAN_CHECKS = 1000;

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** One run of `openshell-init`: the process, its records, and the sockets it hands over. */
class Launch {
  readonly child: ChildProcess;
  readonly #plan: LaunchPlan;
  readonly #control: Socket;
  readonly #reader = new RecordReader();
  readonly #sockets = new Map<Handoff, Server | DatagramSocket>();
  readonly #listeners: ((event: KernelEvent) => void)[] = [];
  readonly #wanted: ReadonlySet<Handoff>;
  readonly #arch: Arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  #initPid: number | undefined;
  #code: number | undefined;
  #failure: LaunchError | undefined;
  #onReady: (() => void) | undefined;
  readonly exited: Promise<Exit>;

  constructor(plan: LaunchPlan, stdio: Stdio, binary: string) {
    this.#plan = plan;
    this.#wanted = new Set(plan.steps.flatMap((step) => (step.op === 'socket' && step.handoff ? [step.handoff] : [])));
    const encoded = encodePlan(plan);
    this.child = spawn(binary, ['run', String(process.pid)], {
      argv0: 'openshell-init', // seen inside as pid 1's: not where it lies on the host
      stdio: [...stdio, 'pipe', 'ipc'],
      env: {},
      serialization: 'json',
    });
    const control = this.child.stdio[CONTROL];
    if (!(control instanceof Socket)) throw new LaunchError('spawn', `cannot start ${binary}`);
    this.#control = control;
    this.exited = this.#watch();
    control.write(encoded);
  }

  #watch(): Promise<Exit> {
    const { child } = this;
    const ended = new Promise<number>((resolve) => {
      child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
      child.on('error', (error) => {
        if (child.pid !== undefined) return; // it runs; what could not be sent to it shows in how it ends
        this.#failure ??= new LaunchError('spawn', `cannot start ${this.child.spawnfile}: ${error.message}`);
        resolve(125);
      });
    });
    child.on('message', (message: unknown, handle: unknown) => this.#take(message, handle));
    const closed = new Promise<void>((resolve) => this.#control.on('close', () => resolve()));
    this.#control.on('error', () => this.#control.destroy());
    this.#control.on('data', (bytes: Buffer) => {
      try {
        for (const { kind, payload } of this.#reader.push(bytes)) this.#record(kind, payload);
      } catch (error) {
        this.#fail(error);
      }
    });
    return this.#finish(ended, closed);
  }

  async #finish(ended: Promise<number>, closed: Promise<void>): Promise<Exit> {
    const status = await ended;
    await closed;
    // Told of no end: the launcher was killed, and the kernel is ending the rest because of that.
    if (this.#code === undefined && this.#initPid !== undefined) {
      for (let i = 0; i < ORPHAN_CHECKS && isAlive(this.#initPid); i++) await delay(ORPHAN_CHECK_MS);
    }
    for (const socket of this.#sockets.values()) close(socket);
    const code = this.#code ?? status;
    return this.#failure === undefined ? { code } : { code, failure: this.#failure };
  }

  #fail(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#failure ??= new LaunchError('record', `the sandbox was ended because an event could not be taken: ${reason}`);
    this.kill();
  }

  #take(message: unknown, handle: unknown): void {
    const role = typeof message === 'object' && message !== null && 'role' in message ? message.role : undefined;
    if (role === 'tcp' && handle instanceof Server) this.#sockets.set(role, handle);
    else if ((role === 'dns4' || role === 'dns6') && handle instanceof DatagramSocket) this.#sockets.set(role, handle);
    this.#checkReady();
  }

  #record(kind: number, payload: Buffer): void {
    if (kind === RECORD.ready) {
      this.#initPid = payload.readUInt32LE(0);
      this.#checkReady();
    } else if (kind === RECORD.failed) {
      this.#failure ??= describeFailure(this.#plan, payload);
    } else if (kind === RECORD.exit) {
      this.#code = payload.readInt32LE(0);
    } else {
      for (const event of recordEvents(this.#arch, kind, payload)) {
        for (const listener of this.#listeners) listener(event);
      }
      // A program does not start before its record is written; changes to files are written in the order they happen.
      if (kind === RECORD.start) this.command('W');
    }
  }

  #checkReady(): void {
    if (this.#initPid !== undefined && this.#sockets.size === this.#wanted.size) this.#onReady?.();
  }

  /** Resolves when the sandbox is up; throws when it ends before. */
  async ready(): Promise<number> {
    const up = new Promise<undefined>((resolve) => {
      this.#onReady = () => resolve(undefined);
    });
    const exit = await Promise.race([up, this.exited]);
    if (exit !== undefined || this.#initPid === undefined) {
      throw (
        this.#failure ?? new LaunchError('spawn', `openshell-init ended with ${exit?.code} before the sandbox was up`)
      );
    }
    return this.#initPid;
  }

  get tcp(): Server {
    const server = this.#sockets.get('tcp');
    if (!(server instanceof Server)) throw new LaunchError('socket', 'the plan hands over no TCP listener');
    return server;
  }
  get dns(): DatagramSocket[] {
    return [...this.#sockets.values()].filter((socket) => socket instanceof DatagramSocket);
  }

  listen(listener: (event: KernelEvent) => void): void {
    this.#listeners.push(listener);
  }
  command(bytes: Uint8Array | string): void {
    if (this.#control.writable) this.#control.write(bytes);
  }
  kill(): void {
    this.command('K');
  }
}

function close(socket: Server | DatagramSocket): void {
  try {
    socket.close();
  } catch {
    // The egress plane has closed it already.
  }
}

/**
 * Starts a sandbox. When the promise resolves it is complete and sealed, and its command waits for `release()`.
 * @throws LaunchError naming the step that failed; nothing of the sandbox is left then
 */
export function launch(plan: LaunchPlan, options: LaunchOptions = {}): Promise<RunningSandbox> {
  return launchWith(INIT_BINARY, plan, options.stdio ?? [0, 1, 2]);
}

/** {@link launch} with another build of the native program, for tests. */
export async function launchWith(binary: string, plan: LaunchPlan, stdio: Stdio): Promise<RunningSandbox> {
  const run = new Launch(plan, stdio, binary);
  const initPid = await run.ready();
  const { tcp, dns } = run;
  return {
    initPid,
    tcp,
    dns,
    stdin: run.child.stdin,
    stdout: run.child.stdout,
    stderr: run.child.stderr,
    exited: run.exited,
    onEvent: (listener) => run.listen(listener),
    release: () => run.command('G'),
    signal: (name) => run.command(Uint8Array.of('S'.charCodeAt(0), constants.signals[name])),
    kill: () => run.kill(),
  };
}

/** Carries out a plan that ends with `finish`: it tries things and starts nothing. @throws LaunchError */
export async function tryPlan(plan: LaunchPlan): Promise<void> {
  const run = new Launch(plan, ['pipe', 'pipe', 'pipe'], INIT_BINARY);
  const { code, failure } = await run.exited;
  if (failure !== undefined) throw failure;
  if (code !== 0) throw new LaunchError('spawn', `openshell-init ended with ${code}`);
}
