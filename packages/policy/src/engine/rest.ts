/** Rules over HTTP requests, compiled. */
import { compileGlob, type Glob } from '../glob.ts';
import { ACCESS_METHODS } from '../methods.ts';
import type { Endpoint, Policy, RestMatcher, ValueMatcher } from '../policy.ts';
import type { PathSegment } from '../source/document.ts';
import type { HttpRequest, RuleRef } from '../vocabulary.ts';
import { ruleAt, specificity } from './rule.ts';

export interface CompiledRestRule {
  readonly rule: RuleRef;
  readonly weight: number;
  matches(request: HttpRequest): boolean;
}

/** What an endpoint says about requests. The most specific rule stands first in each list. */
export interface RestRules {
  readonly allow: readonly CompiledRestRule[];
  readonly deny: readonly CompiledRestRule[];
}

/** `at` is the place of the endpoint in the file. An endpoint without a protocol allows every request. */
export function compileRest(policy: Policy, endpoint: Endpoint, at: readonly PathSegment[], name: string): RestRules {
  return {
    allow: mostSpecificFirst(compileAllow(policy, endpoint, at, name)),
    deny: mostSpecificFirst(
      endpoint.denyRules.map((matcher, index) => {
        const rule = ruleAt(policy, [...at, 'deny_rules', index], describe(matcher));
        return compileMatcher(matcher, rule, 'deny');
      }),
    ),
  };
}

function compileAllow(
  policy: Policy,
  endpoint: Endpoint,
  at: readonly PathSegment[],
  name: string,
): CompiledRestRule[] {
  if (endpoint.protocol === undefined) return [{ rule: ruleAt(policy, at, name), weight: 0, matches: () => true }];
  if (endpoint.access !== undefined) {
    const methods: readonly string[] | undefined = ACCESS_METHODS[endpoint.access];
    const shown = methods === undefined ? 'every request' : methods.join(', ');
    const rule = ruleAt(policy, [...at, 'access'], shown);
    return [{ rule, weight: 0, matches: ({ method }) => methods?.includes(method.toUpperCase()) ?? true }];
  }
  return (endpoint.rules ?? []).map(({ allow }, index) => {
    const rule = ruleAt(policy, [...at, 'rules', index], describe(allow));
    return compileMatcher(allow, rule, 'allow');
  });
}

function mostSpecificFirst(rules: CompiledRestRule[]): CompiledRestRule[] {
  return rules.toSorted((left, right) => right.weight - left.weight);
}

function describe({ method, path, query }: RestMatcher): string {
  const names = Object.keys(query);
  return `${method} ${path}${names.length > 0 ? ` with ${names.join(', ')}` : ''}`;
}

/**
 * `allow` needs every listed parameter present and all its values to match; `deny` fires when every listed parameter
 * has at least one matching value. A repeated parameter can therefore neither smuggle a value past an allow rule nor
 * hide one from a deny rule.
 */
function compileMatcher(matcher: RestMatcher, rule: RuleRef, side: 'allow' | 'deny'): CompiledRestRule {
  const path = compileGlob(matcher.path, '/');
  const query = Object.entries(matcher.query).map(([name, values]) => ({ name, fits: compileValues(values) }));
  return {
    rule,
    weight: specificity(path),
    matches: (request) =>
      methodFits(matcher.method, request.method.toUpperCase()) &&
      path.matches(request.path) &&
      query.every(({ name, fits }) => {
        const values = request.query.filter(([key]) => key === name).map(([, value]) => value);
        return side === 'deny' ? values.some(fits) : values.length > 0 && values.every(fits);
      }),
  };
}

/** HEAD rides on GET: it asks for the same thing and learns less. */
function methodFits(wanted: string, method: string): boolean {
  return wanted === '*' || wanted === method || (wanted === 'GET' && method === 'HEAD');
}

function compileValues(matcher: ValueMatcher): (value: string) => boolean {
  const globs: Glob[] = (typeof matcher === 'string' ? [matcher] : matcher.any).map((text) => compileGlob(text, ''));
  return (value) => globs.some((glob) => glob.matches(value));
}
