import type { Delta, ReasoningField } from './answer/delta.ts';
import { StreamMask } from './secret.ts';
import type { Sink } from './sink.ts';

/** What one round said besides its calls. */
export interface Said {
  text: string;
  refusal: string;
  reasoning: { field: ReasoningField; text: string } | undefined;
}

/** Passes words on as they come, with the provider key masked, and remembers them. */
export class Voice {
  readonly #sink: Sink;
  readonly #masks: { readonly text: StreamMask; readonly refusal: StreamMask; readonly reasoning: StreamMask };
  #visible = '';
  #separate = false;
  #round: Said = silence();

  constructor(sink: Sink, secret: string | undefined) {
    this.#sink = sink;
    this.#masks = { text: new StreamMask(secret), refusal: new StreamMask(secret), reasoning: new StreamMask(secret) };
  }

  /** Everything that the agent may show or interpret as text, over all rounds. */
  get visible(): string {
    return this.#visible;
  }

  hear(delta: Delta): void {
    if (delta.reasoning !== undefined) {
      const { field, text } = delta.reasoning;
      this.#round.reasoning = { field, text: (this.#round.reasoning?.text ?? '') + text };
      this.#emit('reasoning', this.#masks.reasoning.push(text));
    }
    if (delta.text !== undefined) {
      this.#round.text += delta.text;
      this.#emit('text', this.#masks.text.push(delta.text));
    }
    if (delta.refusal !== undefined) {
      this.#round.refusal += delta.refusal;
      this.#emit('refusal', this.#masks.refusal.push(delta.refusal));
    }
  }

  /** Ends a round of the provider and returns what it said. */
  endRound(): Said {
    for (const channel of ['reasoning', 'text', 'refusal'] as const) this.#emit(channel, this.#masks[channel].flush());
    const said = this.#round;
    this.#round = silence();
    this.#separate = this.#visible !== '';
    return said;
  }

  /** Says something of our own, in a paragraph of its own. */
  add(text: string): void {
    this.#separate = this.#visible !== '';
    this.#emit('text', text);
  }

  #emit(channel: 'text' | 'refusal' | 'reasoning', text: string): void {
    if (text === '') return;
    if (channel === 'reasoning') {
      this.#sink.reasoning(this.#round.reasoning?.field ?? 'reasoning_content', text);
      return;
    }
    const words = this.#separate ? `\n\n${text}` : text;
    this.#separate = false;
    this.#visible += words;
    this.#sink[channel](words);
  }
}

function silence(): Said {
  return { text: '', refusal: '', reasoning: undefined };
}
