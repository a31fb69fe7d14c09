import type { ActionEvent, Outcome } from '@nemoclaw/audit';
import type { Decision, ToolCall } from '@nemoclaw/policy';
import { MAX_RELEASED_CALLS, MAX_REMEMBERED_ANSWERS, MAX_REMEMBERED_CHARS } from '../limits.ts';
import type { Message, ToolCallMessage } from '../request.ts';

/** A call that was released and whose result will come with a later request. */
export interface ReleasedCall {
  readonly correlation: string;
  readonly parent: string;
  readonly action: ToolCall;
  readonly decision: Decision;
  /** Milliseconds of a monotonic clock. */
  readonly releasedAt: number;
  reported: boolean;
}

/** What the agent's history lacks at an answer whose calls were partly refused. */
export interface RefusedPart {
  /** Whole exchanges before this answer, in which every call was refused. */
  readonly earlier: readonly Message[];
  readonly calls: readonly ToolCallMessage[];
  readonly results: readonly Message[];
}

/** What the plane remembers between requests, keyed by the ids it gave to released calls. Bounded. */
export class CallMemory {
  readonly #released = new Map<string, ReleasedCall>();
  readonly #refused = new Map<string, { part: RefusedPart; size: number }>();
  readonly #strangers = new Set<string>();
  #refusedChars = 0;

  release(id: string, call: ReleasedCall): void {
    this.#released.set(id, call);
    for (const oldest of this.#released.keys()) {
      if (this.#released.size <= MAX_RELEASED_CALLS) break;
      this.#released.delete(oldest);
    }
  }

  find(id: string): ReleasedCall | undefined {
    return this.#released.get(id);
  }

  /** True the first time that an id of a call which was never released is met. */
  noteStranger(id: string): boolean {
    if (this.#strangers.has(id)) return false;
    this.#strangers.add(id);
    for (const oldest of this.#strangers) {
      if (this.#strangers.size <= MAX_RELEASED_CALLS) break;
      this.#strangers.delete(oldest);
    }
    return true;
  }

  /** Keeps what was refused beside the released call `id`. */
  remember(id: string, part: RefusedPart): void {
    if (part.earlier.length === 0 && part.calls.length === 0) return;
    const size = JSON.stringify(part).length;
    this.#refused.set(id, { part, size });
    this.#refusedChars += size;
    for (const [oldest, entry] of this.#refused) {
      if (this.#refused.size <= MAX_REMEMBERED_ANSWERS && this.#refusedChars <= MAX_REMEMBERED_CHARS) break;
      this.#refused.delete(oldest);
      this.#refusedChars -= entry.size;
    }
  }

  /** The history with refused calls and their refusals put back where the model made them. */
  restore(messages: readonly Message[]): Message[] {
    return messages.flatMap((message) => {
      const calls = message.role === 'assistant' ? (message.tool_calls ?? []) : [];
      const part = calls.map(({ id }) => this.#refused.get(id)?.part).find((found) => found !== undefined);
      if (part === undefined) return [message];
      return [...part.earlier, { ...message, tool_calls: [...calls, ...part.calls] }, ...part.results];
    });
  }
}

/** The event that says what became of a released call. */
export function outcomeEvent(call: ReleasedCall, result: Message, now: number): ActionEvent {
  const text = typeof result.content === 'string' ? result.content : JSON.stringify(result.content ?? '');
  const bytes = Buffer.byteLength(text);
  return {
    type: 'action',
    plane: 'inference',
    phase: 'outcome',
    correlation: call.correlation,
    parent: call.parent,
    action: call.action,
    decision: call.decision,
    outcome: {
      ...endOf(text),
      detail: `the agent reported a result of ${bytes} bytes`,
      bytesOut: bytes,
      durationMs: Math.max(0, Math.round(now - call.releasedAt)),
    },
  };
}

/** How OpenClaw ends the output of a command that failed. */
const FAILED_COMMAND = /\n\(Command exited with code (\d{1,3})\)$/;

/**
 * Success or failure only where the result says so itself: a JSON object with `status`, `ok`, `success`, `isError` or
 * `exitCode`, or the line with which OpenClaw ends the output of a failed command. Anything else is unknown. It is what
 * the agent reports, not what was seen.
 */
function endOf(text: string): Pick<Outcome, 'status' | 'exitCode'> {
  const code = FAILED_COMMAND.exec(text.slice(-64))?.[1];
  if (code !== undefined) return { status: 'failure', exitCode: Number(code) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { status: 'unknown' };
  }
  return { status: statusOf(value) };
}

function statusOf(value: unknown): Outcome['status'] {
  if (typeof value !== 'object' || value === null) return 'unknown';
  const field = (name: string): unknown => Reflect.get(value, name);
  const status = String(field('status')).toLowerCase();
  if (/^(error|failed|failure|blocked|denied|forbidden|timeout|aborted)$/.test(status)) return 'failure';
  if (field('isError') === true || field('ok') === false || field('success') === false) return 'failure';
  if (typeof field('exitCode') === 'number') return field('exitCode') === 0 ? 'success' : 'failure';
  if (/^(ok|success|completed|done)$/.test(status) || field('ok') === true || field('success') === true)
    return 'success';
  return 'unknown';
}
