import { ApiError } from '../errors.ts';
import { MAX_ARGUMENT_CHARS, MAX_NAME_CHARS, MAX_TOOL_CALLS } from '../limits.ts';
import type { CallPiece } from './delta.ts';

/** A tool call as the model made it, put together but not yet believed. */
export interface ModelCall {
  readonly name: string;
  readonly arguments: string;
  readonly signature?: string;
  /** Why it cannot be taken as a call at all. */
  readonly defect?: 'too-large' | 'two-names' | 'legacy';
}

interface Slot {
  index: number | undefined;
  id: string | undefined;
  name: string;
  parts: string[];
  size: number;
  signature: string | undefined;
  defect: ModelCall['defect'] | undefined;
}

/** Puts pieces of tool calls together. Nothing leaves before {@link CallAssembler.take}. */
export class CallAssembler {
  readonly #slots: Slot[] = [];

  add(piece: CallPiece): void {
    const slot = this.#find(piece) ?? this.#open(piece);
    slot.id ??= piece.id;
    slot.signature ??= piece.signature;
    if (piece.name !== undefined && piece.name !== slot.name) {
      if (slot.name !== '') slot.defect ??= 'two-names';
      slot.name = piece.name.slice(0, MAX_NAME_CHARS + 1);
    }
    if (piece.arguments !== undefined) append(slot, piece.arguments);
  }

  /** Every call begun so far, in the order of their beginning. */
  take(): ModelCall[] {
    return this.#slots.splice(0).map((slot) => ({
      name: slot.name,
      arguments: slot.parts.join(''),
      ...(slot.signature === undefined ? {} : { signature: slot.signature }),
      ...(slot.defect === undefined ? {} : { defect: slot.defect }),
    }));
  }

  #find(piece: CallPiece): Slot | undefined {
    if (piece.legacy) return this.#slots.find((slot) => slot.defect === 'legacy');
    const sameIndex = this.#slots.findLast((slot) => piece.index !== undefined && slot.index === piece.index);
    if (sameIndex !== undefined) {
      // Some servers give every call index 0: another id is another call.
      const other = piece.id !== undefined && sameIndex.id !== undefined && piece.id !== sameIndex.id;
      return other ? this.#slots.find((slot) => slot.id === piece.id) : sameIndex;
    }
    if (piece.id !== undefined) return this.#slots.find((slot) => slot.id === piece.id && slot.index === undefined);
    return piece.index === undefined && piece.name === undefined ? this.#slots.at(-1) : undefined;
  }

  #open(piece: CallPiece): Slot {
    if (this.#slots.length >= MAX_TOOL_CALLS) {
      throw new ApiError(
        502,
        'provider_answer',
        `The model made more than ${MAX_TOOL_CALLS} tool calls in one answer.`,
      );
    }
    const slot: Slot = {
      index: piece.index,
      id: piece.id,
      name: '',
      parts: [],
      size: 0,
      signature: undefined,
      defect: piece.legacy ? 'legacy' : undefined,
    };
    this.#slots.push(slot);
    return slot;
  }
}

function append(slot: Slot, text: string): void {
  slot.size += text.length;
  if (slot.size > MAX_ARGUMENT_CHARS) {
    slot.defect ??= 'too-large';
    slot.parts.length = 0;
  } else slot.parts.push(text);
}
