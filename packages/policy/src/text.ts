import { limits } from './limits.ts';

/** C0 and C1 controls, line separators, and the marks that reorder text on a terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const EVERY_UNPRINTABLE = new RegExp(UNPRINTABLE.source, 'gu');

/** True when the text holds a character that could forge or garble a line of output. */
export function hasUnprintable(text: string): boolean {
  return UNPRINTABLE.test(text);
}

/** Text that somebody else chose, made fit for a message: escaped and cut to `limits.quotedLength`. */
export function printable(text: string): string {
  const cut = text.length > limits.quotedLength ? `${text.slice(0, limits.quotedLength)}…` : text;
  return cut.replace(EVERY_UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}

/** `a, b, c`, cut to `limits.quotedItems`. */
export function enumerate(items: readonly string[]): string {
  const shown = items.slice(0, limits.quotedItems).map(printable);
  const more = items.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

/** The candidate that was probably meant: at most a third of its letters away (Damerau-Levenshtein). */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > 64) return undefined;
  const folded = fold(word);
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(folded, fold(candidate));
    const near = distance <= Math.max(1, Math.floor(candidate.length / 3));
    if (near && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** `readOnly`, `read-only` and `read_only` are the same slip of the pen. */
function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, '');
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(left: string, right: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const same = left[i - 1] === right[j - 1];
      const costs = [at(previous, j) + 1, at(current, j - 1) + 1, at(previous, j - 1) + (same ? 0 : 1)];
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        costs.push(at(beforePrevious, j - 2) + 1);
      }
      current.push(Math.min(...costs));
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, right.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
