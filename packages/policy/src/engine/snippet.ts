/**
 * `allowWith`: the narrowest policy text that would permit a denied action. The text an agent chose goes through the
 * same checks as a policy file, and what cannot be written as a literal is not offered at all.
 */
import { stringify } from 'yaml';
import { globProblem } from '../glob.ts';
import { readHost } from '../host.ts';
import { limits } from '../limits.ts';
import { isMethod } from '../methods.ts';
import { isNormalPath } from '../paths.ts';
import { hasUnprintable } from '../text.ts';

export interface NetworkRequest {
  readonly host: string;
  readonly port: number;
  /** Executables that need the access. */
  readonly binaries: readonly string[];
  readonly http?: { readonly method: string; readonly path: string };
}

/** A new network policy for one host, one port and these binaries; `taken` are the keys already in use. */
export function allowNetwork(request: NetworkRequest, taken: ReadonlySet<string>): string | undefined {
  const { host, port, binaries, http } = request;
  const reading = readHost(host);
  if (reading.kind !== 'name' && reading.kind !== 'address') return undefined;
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  if (binaries.length === 0 || !binaries.every(isLiteral)) return undefined;
  if (http !== undefined && !(isMethod(http.method) && isLiteral(http.path))) return undefined;
  const endpoint = { host: reading.host, port, ...protocolFor(port, http) };
  const paths = [...new Set(binaries)].map((path) => ({ path }));
  const key = freeKey(reading.host, taken);
  return write({ network_policies: { [key]: { endpoints: [endpoint], binaries: paths } } });
}

function protocolFor(port: number, http: NetworkRequest['http']): object {
  if (http !== undefined) return { protocol: 'rest', rules: [{ allow: { method: http.method, path: http.path } }] };
  // What speaks HTTP can be given less than a bare connection.
  return port === 443 || port === 80 ? { protocol: 'rest', access: 'read-only' } : {};
}

function freeKey(host: string, taken: ReadonlySet<string>): string {
  const base = host.replaceAll(/[^a-z0-9]+/g, '_').slice(0, 100) || 'endpoint';
  let key = base;
  for (let number = 2; taken.has(key); number += 1) key = `${base}_${number}`;
  return key;
}

export function allowPaths(list: 'read_only' | 'read_write', paths: readonly string[]): string | undefined {
  if (paths.some((path) => !isListable(path))) return undefined;
  return write({ filesystem_policy: { [list]: [...new Set(paths)] } });
}

/** Whether `filesystem_policy` could list it. The kernel's own trees are the sandbox's to make. */
function isListable(path: string): boolean {
  const kernel = /^\/(proc|sys|dev)(\/|$)/.test(path);
  return isNormalPath(path) && path !== '/' && !kernel && !path.includes('*') && !hasUnprintable(path);
}

export function allowTool(tool: string): string | undefined {
  return isLiteral(tool) ? write({ tools: { rules: [{ tool, effect: 'allow' }] } }) : undefined;
}

function isLiteral(text: string): boolean {
  return globProblem(text) === undefined && !text.includes('*');
}

function write(policy: object): string | undefined {
  const text = stringify(policy, { lineWidth: 0 });
  return text.length > limits.allowWithLength ? undefined : text;
}
