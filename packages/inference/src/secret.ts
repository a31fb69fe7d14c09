const MASK = '***';
/** A shorter beginning (`sk-proj-`) says nothing. */
const TELLING_CHARS = 8;

/** Replaces every occurrence of `secret`. */
export function maskSecret(text: string, secret: string | undefined): string {
  return secret ? text.replaceAll(secret, MASK) : text;
}

/**
 * Masks a secret in a text that arrives in pieces. Keeps back only an end that could be the secret's beginning, so
 * ordinary text passes at once.
 */
export class StreamMask {
  readonly #secret: string;
  #held = '';

  constructor(secret: string | undefined) {
    this.#secret = secret ?? '';
  }

  push(text: string): string {
    if (this.#secret === '') return text;
    const all = (this.#held + text).replaceAll(this.#secret, MASK);
    const keep = this.#heldLength(all);
    this.#held = all.slice(all.length - keep);
    return all.slice(0, all.length - keep);
  }

  /** What was kept back. A long beginning of the secret is masked as well. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest.length > TELLING_CHARS ? MASK : rest;
  }

  #heldLength(text: string): number {
    for (let length = Math.min(text.length, this.#secret.length - 1); length > 0; length -= 1) {
      if (this.#secret.startsWith(text.slice(text.length - length))) return length;
    }
    return 0;
  }
}
