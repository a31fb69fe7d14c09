/**
 * IP addresses and blocks of them. Everything is one 128-bit number: IPv4 takes its v4-mapped place
 * (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2), so that the two spellings of one address are one address.
 */

const MAPPED = 0xffffn << 32n;

export interface AddressBlock {
  readonly base: bigint;
  /** 0 to 128. */
  readonly prefix: number;
}

/** Strict: dotted decimal without leading zeros, or IPv6 without zone. Undefined for anything else. */
export function parseAddress(text: string): bigint | undefined {
  if (text.includes(':')) return parseV6(text);
  const v4 = parseV4(text);
  return v4 === undefined ? undefined : MAPPED | v4;
}

/** The one spelling of an address: dotted decimal for IPv4 and v4-mapped, RFC 5952 for IPv6. Undefined: not one. */
export function canonicalAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

/** `ADDRESS` or `ADDRESS/PREFIX`. Bits beyond the prefix are kept in `base`; see {@link networkOf}. */
export function parseBlock(text: string): AddressBlock | undefined {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const base = parseAddress(host);
  if (base === undefined) return undefined;
  if (slash < 0) return { base, prefix: 128 };
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length)) return undefined;
  const prefix = Number(length) + (host.includes(':') ? 0 : 96);
  return prefix <= 128 ? { base, prefix } : undefined;
}

/** The same block with the bits beyond its prefix cleared. */
export function networkOf({ base, prefix }: AddressBlock): AddressBlock {
  const shift = BigInt(128 - prefix);
  return { base: (base >> shift) << shift, prefix };
}

/** CIDR text; the IPv4 form for blocks inside the v4-mapped range. */
export function formatBlock(block: AddressBlock): string {
  const { base, prefix } = networkOf(block);
  return prefix >= 96 && isV4(base) ? `${formatV4(base)}/${prefix - 96}` : `${formatV6(base)}/${prefix}`;
}

export function overlaps(left: AddressBlock, right: AddressBlock): boolean {
  const shift = BigInt(128 - Math.min(left.prefix, right.prefix));
  return left.base >> shift === right.base >> shift;
}

/**
 * What no policy can open, and what it is: these addresses mean the host itself, its neighbours on the wire, or a
 * cloud's metadata service. The last three rows reach the same IPv4 addresses through a translator.
 */
const NEVER: readonly { readonly what: string; readonly blocks: readonly AddressBlock[] }[] = [
  { what: 'loopback', blocks: everyForm('127.0.0.0', 8).concat(block('::1', 128)) },
  { what: 'link-local', blocks: everyForm('169.254.0.0', 16).concat(block('fe80::', 10)) },
  { what: 'unspecified', blocks: everyForm('0.0.0.0', 8).concat(block('::', 128)) },
];

/** Which kind of never-allowed address a block holds, if any. */
export function forbiddenKind(candidate: AddressBlock): string | undefined {
  return NEVER.find(({ blocks }) => blocks.some((forbidden) => overlaps(forbidden, candidate)))?.what;
}

/** An IPv4 block as itself, under NAT64 (RFC 6052), under 6to4 (RFC 3056), and under SIIT (RFC 7915). */
function everyForm(address: string, prefix: number): AddressBlock[] {
  const mapped = block(address, prefix + 96);
  const v4 = mapped.base & 0xffffffffn;
  return [
    mapped,
    { base: (0x64ff9bn << 96n) | v4, prefix: prefix + 96 },
    { base: (0x2002n << 112n) | (v4 << 80n), prefix: prefix + 16 },
    { base: (0xffffn << 48n) | v4, prefix: prefix + 96 },
  ];
}

function block(address: string, prefix: number): AddressBlock {
  const base = parseAddress(address);
  if (base === undefined) throw new TypeError(`not an address: ${address}`);
  return { base, prefix };
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseV6(text: string): bigint | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === '' ? [] : hextets(half)));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 8 ? join(head) : undefined;
  if (tail === undefined || head.length + tail.length > 7) return undefined;
  // An embedded IPv4 address may only stand at the very end.
  if (halves[0]?.includes('.') === true) return undefined;
  return join([...head, ...Array<bigint>(8 - head.length - tail.length).fill(0n), ...tail]);
}

function hextets(text: string): bigint[] | undefined {
  const parts = text.split(':');
  const last = parts.at(-1) ?? '';
  const values: bigint[] = [];
  for (const part of last.includes('.') ? parts.slice(0, -1) : parts) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
    values.push(BigInt(`0x${part}`));
  }
  if (!last.includes('.')) return values;
  const v4 = parseV4(last);
  return v4 === undefined ? undefined : [...values, v4 >> 16n, v4 & 0xffffn];
}

function join(values: readonly bigint[]): bigint {
  return values.reduce((address, value) => (address << 16n) | value, 0n);
}

function isV4(address: bigint): boolean {
  return address >> 32n === 0xffffn;
}

function formatAddress(address: bigint): string {
  return isV4(address) ? formatV4(address) : formatV6(address);
}

function formatV4(address: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 0xffn).join('.');
}

function formatV6(address: bigint): string {
  const values = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((shift) => ((address >> shift) & 0xffffn).toString(16));
  // RFC 5952: the first longest run of two or more zeros becomes `::`.
  let best = { start: 0, length: 0 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && values[start + length] === '0') length += 1;
    if (length > best.length) best = { start, length };
  }
  if (best.length < 2) return values.join(':');
  return `${values.slice(0, best.start).join(':')}::${values.slice(best.start + best.length).join(':')}`;
}
