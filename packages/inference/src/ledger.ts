import type { AuditSink, Event } from '@nemoclaw/audit';
import type { Action, Decision } from '@nemoclaw/policy';
import { closedError } from './errors.ts';

/** The policy and the log behind one rule: when either fails, a {@link closedError} stops what was about to happen. */
export class Ledger {
  readonly #decide: (action: Action) => Decision;
  readonly #audit: AuditSink;

  constructor(decide: (action: Action) => Decision, audit: AuditSink) {
    this.#decide = decide;
    this.#audit = audit;
  }

  decide(action: Action): Decision {
    return closed(() => this.#decide(action));
  }

  append(event: Event): void {
    closed(() => this.#audit.append(event));
  }

  nextCorrelation(): string {
    return closed(() => this.#audit.nextCorrelation());
  }
}

function closed<Result>(run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    throw closedError(error);
  }
}
