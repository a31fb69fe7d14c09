import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { limits } from './limits.ts';
import type { Policy } from './policy.ts';
import { PolicyError, type PolicyProblem } from './problems.ts';
import { policySchema, toPolicy } from './schema/policy.ts';
import type { IssueDetail } from './schema/section.ts';
import { type PathSegment, readDocument, type SourceDocument } from './source/document.ts';

/**
 * Reads a policy.
 *
 * @param text YAML 1.2, one document, at most `limits.policyBytes`.
 * @param file Name for messages; nothing is read from it.
 * @throws {PolicyError} with every problem found, in file order.
 */
export function parsePolicy(text: string, file: string): Policy {
  const document = readDocument(text, file);
  if (document.problems.length > 0) throw new PolicyError(inOrder(document.problems, file));

  const result = policySchema.safeParse(document.value);
  if (!result.success) {
    throw new PolicyError(
      inOrder(
        result.error.issues.map((issue) => toProblem(issue, document, file)),
        file,
      ),
    );
  }
  const digest = createHash('sha256').update(text).digest('hex');
  return toPolicy(result.data, { file, digest, lines: document.lines });
}

function inOrder(problems: readonly PolicyProblem[], file: string): PolicyProblem[] {
  const sorted = problems.toSorted((left, right) => left.line - right.line || left.column - right.column);
  const shown = sorted.slice(0, limits.problems);
  const last = shown.at(-1);
  if (last === undefined || shown.length === sorted.length) return shown;
  const message = `and ${sorted.length - shown.length} more problems`;
  return [...shown, { file, line: last.line, column: last.column, message }];
}

function toProblem(issue: z.core.$ZodIssue, document: SourceDocument, file: string): PolicyProblem {
  const path = issue.path.map((segment): PathSegment => (typeof segment === 'number' ? segment : String(segment)));
  const { message, at, suggestion } = describe(issue, path, valueAt(document.value, path));
  const place = { file, ...document.locate(path, at ?? 'value'), message };
  return suggestion === undefined ? place : { ...place, suggestion };
}

function describe(
  issue: z.core.$ZodIssue,
  path: readonly PathSegment[],
  value: unknown,
): { message: string } & IssueDetail {
  const name = typeof path.at(-1) === 'string' ? `\`${path.at(-1)}\`` : 'this';
  switch (issue.code) {
    case 'custom':
      return { message: issue.message, ...(issue.params as IssueDetail | undefined) };
    case 'invalid_type':
      return wrongType(issue.expected, name, value);
    case 'too_small':
      return issue.origin === 'array'
        ? { message: `${name} cannot be an empty list`, suggestion: 'add an entry, or remove the key' }
        : { message: `${name} must be at least ${issue.minimum}` };
    case 'too_big':
      return { message: `${name} must be at most ${issue.maximum}` };
    default:
      return { message: `${name}: ${issue.message}` };
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

function wrongType(expected: string, name: string, value: unknown): { message: string } & IssueDetail {
  if (value === undefined) return { message: `${name} is missing`, suggestion: `add ${name}` };
  const wanted = TYPE_NAMES[expected] ?? expected;
  const actual = value === null ? 'empty' : (TYPE_NAMES[Array.isArray(value) ? 'array' : typeof value] ?? typeof value);
  const message = `${name} must be ${wanted}, but is ${actual}`;
  const suggestion = typeFix(expected, value);
  return suggestion === undefined ? { message } : { message, suggestion };
}

function typeFix(expected: string, value: unknown): string | undefined {
  if (value === null) return 'give it a value, or remove the key';
  if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return 'put it in quotes';
  if ((expected === 'number' || expected === 'int') && typeof value === 'string' && /^[0-9]+$/.test(value)) {
    return 'remove the quotes';
  }
  if (expected === 'array') return 'begin each entry with `- `';
  return undefined;
}

function valueAt(root: unknown, path: readonly PathSegment[]): unknown {
  let value = root;
  for (const segment of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.hasOwn(value, segment) ? (value as Record<PathSegment, unknown>)[segment] : undefined;
  }
  return value;
}
