/** Matchers over HTTP requests: the members of `rules[].allow` and of `deny_rules`. */
import { z } from 'zod';
import { isMethod, METHODS } from '../methods.ts';
import type { RestMatcher, ValueMatcher } from '../policy.ts';
import { printable } from '../text.ts';
import { didYouMean, glob, report, section } from './section.ts';

/** Fields of upstream's other protocols (GraphQL, MCP, JSON-RPC, SQL). */
const OTHER_PROTOCOLS = ['operation_type', 'operation_name', 'fields', 'tool', 'params', 'command'];

const method = z.string().transform((written, context) => {
  const name = written.toUpperCase();
  if (name === '*' || isMethod(name)) return name;
  if (name === 'WEBSOCKET_TEXT') {
    report(context, '`WEBSOCKET_TEXT` is not supported yet');
    return z.NEVER;
  }
  const suggestion = didYouMean(name, METHODS) ?? `known methods: *, ${METHODS.join(', ')}`;
  report(context, `\`${printable(written)}\` is not an HTTP method`, { suggestion });
  return z.NEVER;
});

const path = glob().superRefine((pattern, context) => {
  if (!pattern.startsWith('/') && !pattern.startsWith('**')) {
    report(context, 'a request path begins with `/`', { suggestion: 'begin the glob with `/`, or write `**` for all' });
  }
  if (pattern.includes('#')) report(context, 'a request path has no fragment');
});

const values = z.unknown().transform((written, context): ValueMatcher => {
  const single = glob().safeParse(written);
  if (single.success) return single.data;
  const several = section({ any: z.array(glob()).min(1) }).safeParse(written);
  if (several.success) return { any: several.data.any };
  const failed = typeof written === 'object' && written !== null ? several.error : single.error;
  for (const issue of failed.issues) context.issues.push({ ...issue, input: written } as z.core.$ZodRawIssue);
  return z.NEVER;
});

const matcherSchema = section(
  {
    method: method.optional(),
    path: path.optional(),
    query: z.record(z.string(), values).optional(),
  },
  OTHER_PROTOCOLS,
).superRefine((matcher, context) => {
  const empty = matcher.query === undefined || Object.keys(matcher.query).length === 0;
  if (matcher.method === undefined && matcher.path === undefined && empty) {
    const suggestion = 'give at least one of method, path, query; `path: "**"` means every request';
    report(context, 'a rule that says nothing matches everything', { suggestion });
  }
});

/** `rules`: what is allowed. */
export const rulesSchema = z.array(section({ allow: matcherSchema })).min(1);
/** `deny_rules`: what is denied although it is allowed. */
export const denyRulesSchema = z.array(matcherSchema).min(1);

export function toMatcher({ method = '*', path = '**', query = {} }: z.output<typeof matcherSchema>): RestMatcher {
  return { method, path, query };
}
