/** `network_policies`: who may reach what. */
import { z } from 'zod';
import { forbiddenKind, formatBlock, networkOf, parseBlock } from '../address.ts';
import { readHost } from '../host.ts';
import { limits } from '../limits.ts';
import type { Endpoint, NetworkPolicy } from '../policy.ts';
import { printable } from '../text.ts';
import { denyRulesSchema, rulesSchema, toMatcher } from './rest.ts';
import { glob, line, report, section, word } from './section.ts';

const UNSUPPORTED_PROTOCOLS = ['tcp', 'websocket', 'graphql', 'mcp', 'json-rpc', 'sql'];
const UNSUPPORTED_ENDPOINT_KEYS = [
  'path',
  'allow_encoded_slash',
  'websocket_credential_rewrite',
  'request_body_credential_rewrite',
  'allow_uninspected_credentials',
  'credential_signing',
  'signing_service',
  'signing_region',
  'credential_binding',
  'persisted_queries',
  'graphql_persisted_queries',
  'graphql_max_body_bytes',
  'json_rpc',
  'mcp',
];

const hostSchema = z.string().transform((written, context) => {
  if (written === '') return written;
  const reading = readHost(written);
  if (reading.kind !== 'problem') return reading.host;
  report(context, reading.message, { suggestion: reading.suggestion });
  return z.NEVER;
});

const portSchema = z.int().min(1).max(65_535);

const blockSchema = z.string().transform((written, context) => {
  const block = parseBlock(written);
  if (block === undefined) {
    const suggestion = 'write an address such as 10.1.2.3, or a block such as 10.0.0.0/8 or fd00::/8';
    report(context, `\`${printable(written)}\` is neither an IP address nor a CIDR block`, { suggestion });
    return z.NEVER;
  }
  if (networkOf(block).base !== block.base) {
    report(context, 'the address has bits beyond its prefix', { suggestion: `write \`${formatBlock(block)}\`` });
    return z.NEVER;
  }
  const kind = forbiddenKind(block);
  if (kind === undefined) return formatBlock(block);
  const suggestion = 'narrow it to the addresses that are meant';
  report(context, `\`${written}\` holds ${kind} addresses, which no policy can open`, { suggestion });
  return z.NEVER;
});

const endpointShape = section(
  {
    host: hostSchema.default(''),
    port: portSchema.optional(),
    ports: z.array(portSchema).min(1).optional(),
    protocol: word(['rest'], { unsupported: UNSUPPORTED_PROTOCOLS }).optional(),
    tls: word(['terminate', 'skip'], { hints: { passthrough: 'write `skip`' } }).default('terminate'),
    enforcement: word(['enforce', 'audit']).default('enforce'),
    access: word(['read-only', 'read-write', 'full']).optional(),
    rules: rulesSchema.optional(),
    deny_rules: denyRulesSchema.optional(),
    allowed_ips: z.array(blockSchema).min(1).optional(),
  },
  UNSUPPORTED_ENDPOINT_KEYS,
);
type RawEndpoint = z.output<typeof endpointShape>;
type Context = z.core.$RefinementCtx<RawEndpoint>;

const endpointSchema = endpointShape.superRefine((endpoint, context) => {
  checkDestination(endpoint, context);
  if (endpoint.protocol === 'rest') checkInspected(endpoint, context);
  else checkUninspected(endpoint, context);
});

function checkDestination({ host, port, ports, allowed_ips: blocks }: RawEndpoint, context: Context): void {
  if (host === '' && blocks === undefined) {
    report(context, 'an endpoint needs a host', { suggestion: 'add `host:`, or `allowed_ips:` for plain addresses' });
  }
  if (port === undefined && ports === undefined)
    report(context, 'an endpoint needs a port', { suggestion: 'add `port: 443`' });
  if (port !== undefined && ports !== undefined) {
    report(context, '`port` and `ports` exclude each other', { at: 'key', path: ['ports'], suggestion: 'keep one' });
  }
  for (const [index, value] of (ports ?? []).entries()) {
    if (ports?.indexOf(value) !== index) report(context, `port ${value} is listed twice`, { path: ['ports', index] });
  }
}

function checkInspected({ access, rules, tls }: RawEndpoint, context: Context): void {
  if (access === undefined && rules === undefined) {
    const suggestion = 'add `access: read-only` (or read-write, full), or `rules:`';
    report(context, '`protocol: rest` needs either `access` or `rules`', { at: 'key', path: ['protocol'], suggestion });
  }
  if (access !== undefined && rules !== undefined) {
    const suggestion = 'keep `rules` for single requests, or `access` for a whole class';
    report(context, '`access` and `rules` exclude each other', { at: 'key', path: ['rules'], suggestion });
  }
  if (tls === 'skip') {
    const suggestion = 'remove `tls: skip`, or remove `protocol: rest` and what depends on it';
    report(context, 'requests inside TLS that is not terminated cannot be inspected', { path: ['tls'], suggestion });
  }
}

function checkUninspected(endpoint: RawEndpoint, context: Context): void {
  // A `protocol` that was refused has its own problem; these would only repeat it.
  if (endpoint.protocol !== undefined) return;
  for (const key of ['access', 'rules', 'deny_rules'] as const) {
    if (endpoint[key] === undefined) continue;
    const message = `\`${key}\` has no effect without a protocol`;
    report(context, message, { at: 'key', path: [key], suggestion: 'add `protocol: rest`' });
  }
  if (endpoint.enforcement === 'audit') {
    const message = '`enforcement: audit` has no effect without a protocol';
    report(context, message, { at: 'key', path: ['enforcement'], suggestion: 'add `protocol: rest`, or remove it' });
  }
}

const binaryPath = glob().superRefine((path, context) => {
  if (!path.startsWith('/') && !path.startsWith('**')) {
    report(context, 'the path of a binary must be absolute', { suggestion: 'write it as in /usr/bin/curl' });
  }
  if (/\/\.{0,2}(\/|$)/.test(path))
    report(context, 'the path of a binary is resolved: no `//`, `/./`, `/../` or final `/`');
});

const networkPolicySchema = section({
  name: line(limits.nameLength).optional(),
  endpoints: z.array(endpointSchema).min(1),
  binaries: z.array(section({ path: binaryPath }, ['harness'])).default([]),
}).superRefine(
  (policy, context) => {
    if (!isObject(policy) || !Array.isArray(policy.binaries) || policy.binaries.length > 0) return;
    report(context, 'a network policy without `binaries` matches no process', {
      path: ['binaries'],
      at: 'key',
      suggestion: 'add `binaries: [{ path: /usr/bin/curl }]`, or `path: "/**"` for every program that is not writable',
    });
  },
  // Also where an endpoint is wrong, so that all problems are told at once; the value may then be anything.
  { when: () => true },
);

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

const KEY = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

export const networkPoliciesSchema = z.record(z.string(), networkPolicySchema).superRefine(
  (policies, context) => {
    if (!isObject(policies)) return;
    for (const key of Object.keys(policies)) {
      if (KEY.test(key)) continue;
      const suggestion = 'use letters, digits, `_`, `-` and `.`, at most 128';
      report(context, `\`${printable(key)}\` cannot name a network policy`, { at: 'key', path: [key], suggestion });
    }
  },
  { when: () => true },
);

export function toNetworkPolicy(key: string, raw: z.output<typeof networkPolicySchema>): NetworkPolicy {
  return {
    key,
    name: raw.name ?? key,
    endpoints: raw.endpoints.map(toEndpoint),
    binaries: raw.binaries.map(({ path }) => ({ path })),
  };
}

function toEndpoint(raw: RawEndpoint): Endpoint {
  return {
    host: raw.host,
    ports: raw.ports ?? (raw.port === undefined ? [] : [raw.port]),
    ...(raw.protocol !== undefined && { protocol: raw.protocol }),
    tls: raw.tls,
    enforcement: raw.enforcement,
    ...(raw.access !== undefined && { access: raw.access }),
    ...(raw.rules !== undefined && { rules: raw.rules.map(({ allow }) => ({ allow: toMatcher(allow) })) }),
    denyRules: (raw.deny_rules ?? []).map(toMatcher),
    allowedIps: raw.allowed_ips ?? [],
  };
}
