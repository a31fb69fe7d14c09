/** What every part of the schema is made of: sections that know their keys, and leaves that know their letters. */
import { z } from 'zod';
import { globProblem } from '../glob.ts';
import { limits } from '../limits.ts';
import { closest, hasUnprintable, printable } from '../text.ts';

/** A custom issue: `at` says whether its place is the key or the value; the suggestion is printed below it. */
export interface IssueDetail {
  readonly at?: 'key';
  readonly suggestion?: string | undefined;
}

type Reporter = { addIssue(issue: { code: 'custom'; message: string; path: PropertyKey[]; params: object }): void };

export function report(
  context: Reporter,
  message: string,
  detail: IssueDetail & { path?: readonly (string | number)[] } = {},
): void {
  const { path = [], ...params } = detail;
  context.addIssue({ code: 'custom', message, path: [...path], params });
}

/**
 * An object of these keys and no others. A key in `unsupported` is known, to upstream or to a later version of ours,
 * and refused by name: silently ignoring a rule that somebody wrote would be worse than not starting.
 */
export function section<Shape extends z.ZodRawShape>(shape: Shape, unsupported: readonly string[] = []) {
  const known = Object.keys(shape);
  const check = (value: unknown, context: Reporter) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue;
      if (unsupported.includes(key)) {
        const suggestion = 'remove it; the policy cannot be enforced as written';
        report(context, `\`${key}\` is not supported yet`, { at: 'key', path: [key], suggestion });
      } else {
        report(context, `unknown key \`${printable(key)}\``, {
          at: 'key',
          path: [key],
          suggestion: didYouMean(key, known) ?? `known keys here: ${known.join(', ')}`,
        });
      }
    }
  };
  // `when`: unknown keys are reported even where a known key has a bad value.
  return z.looseObject(shape).superRefine(check, { when: () => true });
}

export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  const candidate = closest(word, candidates);
  return candidate === undefined ? undefined : `did you mean \`${candidate}\`?`;
}

/** One of a few words. `unsupported` ones are refused by name; `hints` explain particular wrong ones. */
export function word<const Words extends readonly string[]>(
  words: Words,
  { unsupported = [], hints = {} }: { unsupported?: readonly string[]; hints?: Readonly<Record<string, string>> } = {},
) {
  return z.unknown().transform((value, context): Words[number] => {
    const found = words.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    if (value === undefined || value === null) {
      context.issues.push({ code: 'invalid_type', expected: 'string', input: value });
      return z.NEVER;
    }
    const text = printable(typeof value === 'string' ? value : JSON.stringify(value));
    if (typeof value === 'string' && unsupported.includes(value)) {
      report(context, `\`${value}\` is not supported yet`, { suggestion: `supported here: ${words.join(', ')}` });
    } else {
      const hint = typeof value === 'string' ? (hints[value] ?? didYouMean(value, words)) : undefined;
      report(context, `\`${text}\` is not one of ${words.join(', ')}`, { suggestion: hint });
    }
    return z.NEVER;
  });
}

/** A glob of the one glob language, see `glob.ts`. */
export function glob() {
  return z.string().superRefine((pattern, context) => {
    const problem = globProblem(pattern);
    if (problem !== undefined) report(context, problem);
  });
}

/** One line of text for people. */
export function line(maximum: number) {
  return z.string().superRefine((text, context) => {
    if (text.trim() === '') report(context, 'this cannot be empty');
    if (text.length > maximum) report(context, `this cannot be longer than ${maximum} characters`);
    if (hasUnprintable(text)) report(context, 'this must be one line without control characters');
  });
}

/** An absolute path without `.`, `..`, empty components or a trailing slash: reported, and normalised where harmless. */
export function absolutePath() {
  return z.string().transform((path, context) => {
    const problem = pathProblem(path);
    if (problem === undefined) return normalisePath(path);
    report(context, problem.message, { suggestion: problem.suggestion });
    return z.NEVER;
  });
}

function pathProblem(path: string): { message: string; suggestion?: string } | undefined {
  if (path.startsWith('~'))
    return { message: '`~` is not expanded in a policy', suggestion: 'write the absolute path' };
  if (!path.startsWith('/')) return { message: 'a path must be absolute', suggestion: 'begin it with `/`' };
  if (path.length > limits.pathLength)
    return { message: `a path cannot be longer than ${limits.pathLength} characters` };
  if (hasUnprintable(path)) return { message: 'a path cannot hold control characters' };
  if (path.split('/').includes('..')) return { message: 'a path cannot contain `..`' };
  if (path.includes('*')) {
    return { message: 'a path in `filesystem_policy` is literal, not a glob', suggestion: 'list the directory itself' };
  }
  return undefined;
}

function normalisePath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return `/${parts.join('/')}`;
}
