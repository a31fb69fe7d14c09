import { canonicalAddress } from '../address/classify.ts';
import { canonicalName } from '../dns/name.ts';
import { MAX_TARGET_BYTES } from '../limits.ts';

/** What a request is addressed to, by connection. */
export interface Authority {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
}

export interface Target {
  /** The canonical path: what is decided on, and to the byte what the origin receives. */
  readonly path: string;
  /** `?` and the query as the client sent it, or nothing. Forwarded untouched. */
  readonly search: string;
  readonly query: ReadonlyArray<readonly [name: string, value: string]>;
}

/** A request that could be read in more than one way. `status` is what its sender is told. */
export class AmbiguousRequest extends Error {
  readonly status: number;
  readonly check: string;

  constructor(status: number, check: string, message: string) {
    super(message);
    this.name = 'AmbiguousRequest';
    this.status = status;
    this.check = check;
  }
}

const refuse = (message: string): never => {
  throw new AmbiguousRequest(400, 'http.target', message);
};

/** Characters that stand for themselves in a path (RFC 3986 `pchar`), without `;` and `%`. */
const PLAIN = /^[A-Za-z0-9\-._~!$&'()*+,=:@]$/;
/** What must not come out of decoding: separators, parameters, a second encoding's sign, controls. */
const FORBIDDEN = /[\p{Cc}/\\;]/u;
/** Encodings that a second decoding would turn into structure. */
const DOUBLE = /%25(?:2[eEfF35]|3[bBfF]|5[cC]|[01][0-9a-fA-F]|7[fF])/;

/**
 * Reads a request target (RFC 9112 section 3.2) into the one path that every origin reads alike. Rewritten, because
 * it changes no reading: escapes of plain characters are decoded, others spelled in upper case, raw characters outside
 * RFC 3986 escaped, `.` and `..` resolved. Refused, because origins differ: escaped or doubled slashes, backslashes,
 * `;` parameters, double escapes, controls, text that is not UTF-8 or whose compatibility form hides a separator.
 * `%2B` is left alone (some origins take a bare `+` for a space).
 * @throws {AmbiguousRequest}
 */
export function canonicalTarget(raw: string, authority: Authority): Target {
  if (raw.length > MAX_TARGET_BYTES) {
    throw new AmbiguousRequest(414, 'http.target', `the request target is longer than ${MAX_TARGET_BYTES} bytes`);
  }
  if (/[^\x21-\x7e]/.test(raw)) refuse('the request target contains control or non-ASCII characters');
  if (raw.includes('#')) refuse('the request target contains a fragment');
  const origin = raw.startsWith('/') ? raw : originForm(raw, authority);
  const mark = origin.indexOf('?');
  const search = mark < 0 ? '' : origin.slice(mark);
  return { path: canonicalPath(mark < 0 ? origin : origin.slice(0, mark)), search, query: parseQuery(search.slice(1)) };
}

/** Turns an absolute-form target into origin form when it names the very authority of the connection. */
function originForm(raw: string, authority: Authority): string {
  const match = /^(https?):\/\/([^/?]*)(.*)$/i.exec(raw);
  if (!match) return refuse('the request target is neither a path nor an absolute URL');
  const [, scheme = '', host = '', rest = ''] = match;
  if (scheme.toLowerCase() !== authority.scheme || !namesAuthority(host, authority)) {
    throw new AmbiguousRequest(421, 'http.authority', 'the request target names another host than the connection');
  }
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** True when a `Host` value (or URL authority) is exactly the decided host and port. */
export function namesAuthority(value: string, { scheme, host, port }: Authority): boolean {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]@/\\]+)(?::([0-9]{1,5}))?$/.exec(value);
  if (!match) return false;
  const [, name = '', digits] = match;
  const named = Number(digits ?? (scheme === 'https' ? 443 : 80));
  const bare = name.startsWith('[') ? name.slice(1, -1) : name;
  const canonical = name.endsWith('.') ? undefined : (canonicalAddress(bare) ?? canonicalName(bare));
  return canonical === host && named === port;
}

function canonicalPath(raw: string): string {
  if (DOUBLE.test(raw)) refuse('the path is escaped twice');
  const output: string[] = [];
  const segments = raw.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '' && !last) refuse('the path has an empty segment (//)');
    const canonical = canonicalSegment(segment);
    if (canonical !== '.' && canonical !== '..') {
      output.push(canonical);
      continue;
    }
    if (canonical === '..' && output.pop() === undefined) refuse('the path leads above its root');
    if (last) output.push('');
  }
  return `/${output.join('/')}`;
}

function canonicalSegment(segment: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(segment)) refuse('the path has a broken % escape');
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    return refuse('the path is not UTF-8');
  }
  if (FORBIDDEN.test(decoded)) refuse('the path has an escaped slash, a backslash, a ";" or a control character');
  const folded = decoded.normalize('NFKC');
  if (folded !== decoded && (/[\p{Cc}/\\;%?#]/u.test(folded) || /^\.{1,2}$/.test(folded))) {
    refuse('the path has a look-alike of a separator or of a dot segment');
  }
  let canonical = '';
  for (const part of segment.match(/%[0-9A-Fa-f]{2}|./g) ?? []) canonical += canonicalCharacter(part);
  return canonical;
}

function canonicalCharacter(part: string): string {
  const escaped = part.length === 3;
  const code = escaped ? Number.parseInt(part.slice(1), 16) : part.charCodeAt(0);
  const character = String.fromCharCode(code);
  if (PLAIN.test(character) && !(escaped && character === '+')) return character;
  return `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** `a=1&b=2` as pairs, `+` and escapes decoded; what cannot be decoded stands for itself (WHATWG URL section 5.1). */
function parseQuery(text: string): ReadonlyArray<readonly [string, string]> {
  return text === '' ? [] : [...new URLSearchParams(text)];
}

/** A target that was refused, fit to be recorded: no query, printable, short. */
export function describeTarget(raw: string): string {
  const path = raw.split(/[?#]/, 1)[0] ?? '';
  return path
    .slice(0, 256)
    .replace(/[^\x21-\x7e]/g, (character) => encodeURIComponent(`\\x${character.charCodeAt(0).toString(16)}`));
}
