import type { Event } from '@nemoclaw/audit';
import type { Action, Decision } from '@nemoclaw/policy';
import { closedError } from './errors.ts';

/** The part of the audit log that a plane needs. `append` throws when the record cannot be written. */
export interface Audit {
  append(event: Event): unknown;
  nextCorrelation(): string;
}

/** The policy and the log behind one rule: when either fails, an {@link closedError} stops what was about to happen. */
export class Ledger {
  readonly #decide: (action: Action) => Decision;
  readonly #audit: Audit;

  constructor(decide: (action: Action) => Decision, audit: Audit) {
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
  } catch {
    throw closedError();
  }
}
