import { createHash } from 'node:crypto';
import { lastUserMessage, textOf } from '../gate/results.ts';
import type { Message } from '../request.ts';

/** Requests of one conversation whose steps are remembered for repetition. */
const MAX_REPEATABLE = 1024;

/**
 * Which step of the story a request gets: each new request the next one. Counting the answers in the history would go
 * wrong, because exchanges in which every call was refused are not part of the agent's history. A new user message
 * begins the story again; a request sent again (a retry) gets the step it got before. One conversation at a time.
 */
export class StoryCursor {
  #conversation = '';
  #next = 0;
  readonly #served = new Map<string, number>();

  step(messages: readonly Message[]): number {
    const last = lastUserMessage(messages);
    const asked = messages[last];
    const conversation = digest([last, asked === undefined ? '' : textOf(asked)]);
    if (conversation !== this.#conversation) {
      this.#conversation = conversation;
      this.#next = 0;
      this.#served.clear();
    }
    const request = digest(messages);
    const before = this.#served.get(request);
    if (before !== undefined) return before;
    const step = this.#next;
    this.#next += 1;
    if (this.#served.size < MAX_REPEATABLE) this.#served.set(request, step);
    return step;
  }
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64');
}
