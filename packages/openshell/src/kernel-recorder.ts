import type { AuditSink } from '@nemoclaw/audit';
import { type Action, type CompiledPolicy, decide, type ProcessRef } from '@nemoclaw/policy';
import type { KernelEvent } from '@nemoclaw/sandbox';

type ProcessEvent = Extract<KernelEvent, { kind: 'exec' | 'file' }>;

/** Opening these for writing stores nothing; shells do it all the time. Not recorded (docs/audit.md). */
const SINKS = /^\/dev\/(null|zero|full|tty|random|urandom|ptmx|pts\/\d+|std(in|out|err)|fd\/\d+)$/;

/** Remembered processes; the oldest are forgotten first, and then only miss an ancestor in a record. */
export const MAX_REMEMBERED_PROCESSES = 4096;

/**
 * Turns what the kernel plane saw into records. It holds no line: mounts, Landlock and seccomp do. A path that the
 * policy does not open is recorded as denied because those refuse it.
 */
export class KernelRecorder {
  readonly #sandbox: string;
  readonly #policy: CompiledPolicy;
  readonly #log: AuditSink;
  readonly #processes = new Map<number, { executable: string; parent: number }>();

  constructor(sandbox: string, policy: CompiledPolicy, log: AuditSink) {
    this.#sandbox = sandbox;
    this.#policy = policy;
    this.#log = log;
  }

  /** Records one event. Throws what the log throws. */
  record(event: ProcessEvent): void {
    if (event.kind === 'file' && event.target === undefined && SINKS.test(event.path)) return;
    const action = this.#action(event);
    const decision = decide(this.#policy, action);
    this.#log.append({
      type: 'action',
      plane: 'kernel',
      phase: 'decision',
      correlation: this.#log.nextCorrelation(),
      action,
      decision,
      ...(decision.effect === 'deny'
        ? { outcome: { status: 'failure' as const, detail: 'not open to the sandbox: the kernel refuses it' } }
        : {}),
    });
  }

  #action(event: ProcessEvent): Action {
    const subject = { sandbox: this.#sandbox, processes: [this.#process(event)] };
    if (event.kind === 'exec') {
      this.#remember(event.pid, event.path, event.ppid);
      return {
        kind: 'process.exec',
        subject,
        path: event.path,
        argv: event.argv,
        ...(event.cwd === undefined ? {} : { cwd: event.cwd }),
      };
    }
    return {
      kind: 'file.write',
      subject,
      path: event.path,
      operation: event.operation,
      ...(event.target === undefined ? {} : { target: event.target }),
    };
  }

  #process(event: ProcessEvent): ProcessRef {
    const ancestors: string[] = [];
    let parent = event.kind === 'exec' ? event.ppid : (this.#processes.get(event.pid)?.parent ?? 0);
    for (let known = this.#processes.get(parent); known && ancestors.length < 64; known = this.#processes.get(parent)) {
      ancestors.push(known.executable);
      parent = known.parent;
    }
    return {
      pid: event.pid,
      ancestors,
      ...(event.executable === undefined ? {} : { executable: event.executable }),
    };
  }

  #remember(pid: number, executable: string, parent: number): void {
    this.#processes.delete(pid);
    this.#processes.set(pid, { executable, parent });
    const [oldest] = this.#processes.keys();
    if (this.#processes.size > MAX_REMEMBERED_PROCESSES && oldest !== undefined) this.#processes.delete(oldest);
  }
}
