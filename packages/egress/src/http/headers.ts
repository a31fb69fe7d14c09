import type { IncomingMessage } from 'node:http';
import { AmbiguousRequest, type Authority, namesAuthority } from './target.ts';

/** Fields that speak to the next hop only (RFC 9110 section 7.6.1), or that this hop answers itself. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);
/** Fields that decide how a message is framed or routed: they must not come from, or be removed by, side doors. */
const FRAMING: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding']);
/** Fields by which some frameworks let a request be another than its first line says. */
const METHOD_OVERRIDES: ReadonlySet<string> = new Set(['x-http-method-override', 'x-http-method', 'x-method-override']);
const PATH_OVERRIDES: ReadonlySet<string> = new Set(['x-original-url', 'x-rewrite-url']);

type Pairs = ReadonlyArray<readonly [name: string, value: string]>;

/** Header fields as they came, in order and spelling. */
function pairs(raw: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) found.push([raw[at] ?? '', raw[at + 1] ?? '']);
  return found;
}

function values(fields: Pairs, name: string): string[] {
  return fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
}

/**
 * Refuses a request that two parties could frame or route differently. The parser (llhttp, strict) has already refused
 * bare line feeds, folded lines, bad names, contradicting and repeated lengths, length together with chunking.
 * @throws {AmbiguousRequest}
 */
export function checkRequest(request: IncomingMessage, authority: Authority): void {
  const fields = pairs(request.rawHeaders);
  checkFraming(request, fields);
  const hosts = values(fields, 'host');
  if (hosts.length !== 1) throw new AmbiguousRequest(400, 'http.host', 'the request must have exactly one Host header');
  if (!namesAuthority(hosts[0] ?? '', authority)) {
    throw new AmbiguousRequest(421, 'http.host', 'the Host header names another host or port than the connection');
  }
  for (const [name] of fields) {
    const plain = name.toLowerCase().replaceAll('_', '-');
    if (PATH_OVERRIDES.has(plain)) throw new AmbiguousRequest(403, 'http.override', `${name} may replace the path`);
  }
  if (values(fields, 'upgrade').length > 0 || values(fields, 'http2-settings').length > 0) {
    throw new AmbiguousRequest(403, 'http.upgrade', 'Upgrade (WebSocket, h2c) is not supported on inspected endpoints');
  }
}

function checkFraming(request: IncomingMessage, fields: Pairs): void {
  const bad = (message: string): never => {
    throw new AmbiguousRequest(400, 'http.framing', message);
  };
  if (request.httpVersion !== '1.1' && request.httpVersion !== '1.0') bad('only HTTP/1.1 and HTTP/1.0 are supported');
  const lengths = values(fields, 'content-length');
  const codings = values(fields, 'transfer-encoding');
  if (lengths.length > 1 || (lengths.length > 0 && codings.length > 0)) bad('the length of the body is ambiguous');
  if (lengths.some((value) => !/^\d{1,15}$/.test(value))) bad('the length of the body is not a number');
  if (codings.length > 1 || codings.some((value) => value.toLowerCase() !== 'chunked')) {
    bad('the only supported transfer encoding is a single "chunked"');
  }
  if (codings.length > 0 && request.httpVersion !== '1.1') bad('HTTP/1.0 has no transfer encoding');
  for (const name of nominated(fields)) if (FRAMING.has(name)) bad('the Connection header names a field it must not');
  for (const [name] of fields) {
    const plain = name.toLowerCase().replaceAll('_', '-');
    // CGI-style origins see `_` and `-` as one.
    if (name.includes('_') && FRAMING.has(plain)) bad(`${name} may be taken for ${plain}`);
  }
}

/** Methods that override fields ask for, upper case. Each must be permitted as well as the method of the first line. */
export function overrideMethods(request: IncomingMessage): string[] {
  const found = new Set<string>();
  for (const [name, value] of pairs(request.rawHeaders)) {
    if (!METHOD_OVERRIDES.has(name.toLowerCase().replaceAll('_', '-'))) continue;
    const method = value.trim().toUpperCase();
    if (!/^[A-Z][A-Z-]{0,31}$/.test(method)) {
      throw new AmbiguousRequest(400, 'http.override', `${name} does not hold a method`);
    }
    found.add(method);
  }
  found.delete(request.method ?? '');
  return [...found];
}

/** Fields named by `Connection`: they end at this hop. */
function nominated(fields: Pairs): Set<string> {
  const names = values(fields, 'connection').flatMap((value) => value.split(','));
  return new Set(names.map((name) => name.trim().toLowerCase()).filter((name) => name !== ''));
}

/** The fields that go on to the other side: all but those of this hop. Flat, as `writeHead` and `request` take them. */
export function endToEnd(raw: readonly string[], alsoDrop: readonly string[] = []): string[] {
  const fields = pairs(raw);
  const dropped = nominated(fields);
  return fields
    .filter(([name]) => {
      const lower = name.toLowerCase();
      return !HOP_BY_HOP.has(lower) && !dropped.has(lower) && !alsoDrop.includes(lower);
    })
    .flat();
}

/** Trailer fields worth passing on: never one that frames, routes, authenticates or overrides (RFC 9110 section 6.5.1). */
export function safeTrailers(raw: readonly string[]): [string, string][] {
  return pairs(raw).filter(([name]) => {
    const plain = name.toLowerCase().replaceAll('_', '-');
    return !(
      HOP_BY_HOP.has(plain) ||
      FRAMING.has(plain) ||
      METHOD_OVERRIDES.has(plain) ||
      PATH_OVERRIDES.has(plain) ||
      /^(?:authorization|cookie|set-cookie|content-encoding|content-type|content-range|location|expect)$/.test(plain)
    );
  });
}
