/** Host names and the patterns for them that endpoints may use. */
import { domainToASCII } from 'node:url';
import { canonicalAddress, forbiddenKind, parseBlock } from './address.ts';

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const PARTIAL = /^[a-z0-9_*-]{1,63}$/;

/** Lower case, without the dot of the root. */
export function normaliseHost(host: string): string {
  const lower = host.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** True for a normalised DNS name: 1 to 253 characters of letters, digits, `-` and `_` in labels of 1 to 63. */
export function isHostName(host: string): boolean {
  return host.length <= 253 && host.split('.').every((label) => LABEL.test(label)) && !looksNumeric(host);
}

/** A host pattern as it is stored, or what is wrong with it. */
export type HostReading =
  | { readonly kind: 'name' | 'wildcard' | 'address'; readonly host: string }
  | { readonly kind: 'problem'; readonly message: string; readonly suggestion?: string };

/**
 * Reads the `host` of an endpoint: a name, an IP literal (brackets allowed), or a wildcard. In a wildcard the first
 * label may be `*`, `**` or hold `*` within (`*-api`), middle labels may be `*`, and the last two are always literal,
 * so that no pattern spans everybody's names.
 */
export function readHost(written: string): HostReading {
  const text = normaliseHost(written.trim());
  const address = canonicalAddress(/^\[.*\]$/.test(text) ? text.slice(1, -1) : text);
  if (address !== undefined) return readAddress(address);
  if (text.includes('://') || text.includes('/')) {
    return problem('a host is a name, not a URL', 'write only the name, and the port as `port:`');
  }
  if (/:[0-9]+$/.test(text)) return problem('a host does not include the port', 'write the port as `port:`');
  const ascii = /[^\0-\x7f]/.test(text) ? domainToASCII(text) : text;
  if (ascii !== text) return problem('a host is written in ASCII', ascii === '' ? undefined : `write \`${ascii}\``);
  if (text.includes('*')) return readWildcard(text);
  if (looksNumeric(text)) return problem('this is neither a name nor a well-formed IP address');
  if (!isHostName(text)) return problem('this is not a valid host name');
  if (text === 'localhost' || text.endsWith('.localhost')) {
    return problem(`${text} is the sandbox itself, which needs no rule and never leaves it`, 'remove the endpoint');
  }
  return { kind: 'name', host: text };
}

function readAddress(address: string): HostReading {
  const block = parseBlock(address);
  const kind = block === undefined ? undefined : forbiddenKind(block);
  if (kind !== undefined) return problem(`${address} is a ${kind} address, which no policy can open`);
  return { kind: 'address', host: address };
}

function readWildcard(text: string): HostReading {
  const labels = text.split('.');
  const [first = '', ...rest] = labels;
  const middle = rest.slice(0, -2);
  if (labels.slice(-2).some((label) => label.includes('*'))) {
    return problem('a wildcard needs at least two literal labels at its end', 'name the domain, as in `*.example.com`');
  }
  if (looksNumeric(text))
    return problem('a wildcard cannot stand for addresses', 'use `allowed_ips` with a CIDR block');
  if (middle.some((label) => label.includes('*') && label !== '*')) {
    return problem('past the first label a wildcard must be a whole label, `*`');
  }
  if (first !== '**' && first.includes('**')) return problem('`**` must be the whole first label');
  const literal = rest.filter((label) => label !== '*');
  if (text.length > 253 || !PARTIAL.test(first) || !literal.every((label) => LABEL.test(label))) {
    return problem('this is not a valid host pattern');
  }
  return { kind: 'wildcard', host: text };
}

/** A last label of digits (also `0x…`) makes programs read a host as an address, in forms nobody agrees on. */
function looksNumeric(host: string): boolean {
  return /(^|\.)(\d+|0x[0-9a-f]*)$/.test(host);
}

function problem(message: string, suggestion?: string): HostReading {
  return suggestion === undefined ? { kind: 'problem', message } : { kind: 'problem', message, suggestion };
}
