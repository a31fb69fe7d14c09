/**
 * The one glob language of policy files.
 *
 * | written | matches                                                         |
 * | ------- | --------------------------------------------------------------- |
 * | `*`     | any run of characters, also none, that holds no separator       |
 * | `**`    | any run of characters, also none, separators included           |
 * | other   | itself, case-sensitively                                        |
 *
 * A glob matches a whole text, never a part of it. The separator belongs to the kind of text:
 *
 * - `/` for file paths, executables and HTTP paths: `/usr/bin/*` matches `/usr/bin/git` and not `/usr/bin/a/b`;
 *   `/opt/**` matches everything below `/opt/` and not `/opt` itself;
 * - `.` for host names: `*.example.com` is one label deep, `**.example.com` any depth, neither the apex;
 * - none for tool names and query values, where `*` and `**` mean the same.
 *
 * There is no `?`, no `[a-z]`, no `{a,b}` and no escaping. Those characters, `\` and three stars in a row are refused
 * by {@link globProblem}: other tools give them meaning, and a rule that silently matched nothing could be a deny rule.
 *
 * Matching takes time linear in the text: the glob is run as a set of states, and nothing is ever tried twice.
 */
import { limits } from './limits.ts';
import { hasUnprintable } from './text.ts';

export type Separator = '/' | '.' | '';

export interface Glob {
  readonly pattern: string;
  /** True when the pattern has no star: it matches exactly itself. */
  readonly literal: boolean;
  /** Characters that are not stars: the more, the more specific. */
  readonly weight: number;
  matches(text: string): boolean;
}

const RESERVED = /[?[\]{}\\]/;

/** Why a pattern is not a glob, or undefined when it is one. */
export function globProblem(pattern: string): string | undefined {
  if (pattern === '') return 'a glob cannot be empty';
  if (pattern.length > limits.globLength) return `a glob cannot be longer than ${limits.globLength} characters`;
  if (hasUnprintable(pattern)) return 'a glob cannot hold control characters';
  const reserved = RESERVED.exec(pattern)?.[0];
  if (reserved !== undefined)
    return `\`${reserved}\` is not part of the glob language, which has only \`*\` and \`**\``;
  if (pattern.includes('***')) return 'three stars in a row mean nothing; write `*` or `**`';
  return undefined;
}

/** Compiles a pattern that {@link globProblem} has nothing against. Never throws. */
export function compileGlob(pattern: string, separator: Separator): Glob {
  const tokens = pattern.match(/\*\*|\*|[^*]/gs) ?? [];
  const weight = tokens.filter((token) => !token.startsWith('*')).length;
  return { pattern, literal: weight === tokens.length, weight, matches: matcher(pattern, tokens, separator) };
}

function matcher(pattern: string, tokens: readonly string[], separator: Separator): (text: string) => boolean {
  const first = pattern.indexOf('*');
  if (first < 0) return (text) => text === pattern;
  const prefix = pattern.slice(0, first);
  const suffix = pattern.slice(pattern.lastIndexOf('*') + 1);
  const stars = tokens.slice(prefix.length, tokens.length - suffix.length);
  const fits = (text: string) =>
    text.length >= prefix.length + suffix.length && text.startsWith(prefix) && text.endsWith(suffix);
  const [only] = stars;
  if (stars.length === 1 && (only === '**' || separator === '')) return fits;
  const middle = (text: string) => text.slice(prefix.length, text.length - suffix.length);
  if (stars.length === 1) return (text) => fits(text) && !middle(text).includes(separator);
  return (text) => fits(text) && simulate(stars, middle(text), separator);
}

/**
 * Runs the tokens as a non-deterministic automaton. State `i` means "tokens before `i` are matched"; a star may be
 * skipped without reading, and stays while it reads. `stamps` says at which character a state was last entered.
 */
function simulate(tokens: readonly string[], text: string, separator: Separator): boolean {
  const stamps = new Uint32Array(tokens.length + 1);
  let states: number[] = [];
  enter(states, 0, tokens, stamps, 1);
  for (let index = 0; index < text.length && states.length > 0; index += 1) {
    const character = text.charAt(index);
    const next: number[] = [];
    for (const state of states) {
      const token = tokens[state];
      if (token === '**' || (token === '*' && character !== separator)) enter(next, state, tokens, stamps, index + 2);
      else if (token !== '*' && token === character) enter(next, state + 1, tokens, stamps, index + 2);
    }
    states = next;
  }
  return states.includes(tokens.length);
}

function enter(states: number[], first: number, tokens: readonly string[], stamps: Uint32Array, stamp: number): void {
  for (let state = first; stamps[state] !== stamp; state += 1) {
    states.push(state);
    stamps[state] = stamp;
    if (tokens[state]?.startsWith('*') !== true) return;
  }
}
