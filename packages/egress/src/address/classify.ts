import ipaddr from 'ipaddr.js';

/**
 * What an address is for, after RFC 6890 (the special-purpose registries) and the clouds' own documents. Only
 * `public` may be dialled on the strength of a name alone.
 */
export type AddressClass =
  | 'public'
  | 'loopback'
  | 'link-local'
  | 'unspecified'
  | 'multicast'
  | 'broadcast'
  | 'metadata'
  | 'private'
  | 'shared'
  | 'unique-local'
  | 'reserved'
  | 'documentation'
  | 'benchmark'
  | 'transition'
  | 'invalid';

/** Classes that no policy can open: only the operator's own host map. Metadata services hand out credentials. */
const NEVER: ReadonlySet<AddressClass> = new Set([
  'loopback',
  'link-local',
  'unspecified',
  'multicast',
  'broadcast',
  'metadata',
  'invalid',
]);

/** Names of cloud metadata services, whatever they resolve to. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
  'metadata.tencentyun.com',
]);

type Row = readonly [cidr: string, name: AddressClass];

// First match wins: single addresses stand before the ranges that hold them.
const V4: readonly Row[] = [
  ['169.254.169.254/32', 'metadata'], // AWS, Azure, GCP, OpenStack, DigitalOcean
  ['169.254.170.2/32', 'metadata'], // AWS ECS task credentials
  ['169.254.170.23/32', 'metadata'], // AWS EKS pod identity
  ['100.100.100.200/32', 'metadata'], // Alibaba
  ['192.0.0.192/32', 'metadata'], // Oracle
  ['168.63.129.16/32', 'metadata'], // Azure host agent; lies in public space
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'documentation'],
  ['192.31.196.0/24', 'reserved'],
  ['192.52.193.0/24', 'reserved'],
  ['192.88.99.0/24', 'transition'],
  ['192.168.0.0/16', 'private'],
  ['192.175.48.0/24', 'reserved'],
  ['198.18.0.0/15', 'benchmark'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['255.255.255.255/32', 'broadcast'],
  ['240.0.0.0/4', 'reserved'],
];

const V6: readonly Row[] = [
  ['fd00:ec2::/32', 'metadata'], // AWS: fd00:ec2::254, and ::23 for EKS
  ['fd20:ce::254/128', 'metadata'], // GCP
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['100::/64', 'reserved'],
  ['2001:2::/48', 'benchmark'],
  ['2001:db8::/32', 'documentation'],
  ['3fff::/20', 'documentation'],
  ['2001::/23', 'reserved'],
  ['5f00::/16', 'reserved'],
  ['fc00::/7', 'unique-local'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],
  ['ff00::/8', 'multicast'],
  ['2000::/3', 'public'],
];

/** The usual place of an embedded IPv4 address. */
const LAST = [12, 13, 14, 15];

/**
 * IPv6 forms that carry an IPv4 address: which bytes hold it, and whether the form reaches the IPv4 Internet through a
 * translator of the network (then a public address inside is public) or is itself suspect.
 */
const EMBEDDING: readonly { cidr: string; at: readonly number[][]; inverted?: boolean; routable: boolean }[] = [
  { cidr: '::ffff:0:0:0/96', at: [LAST], routable: false }, // RFC 2765 IPv4-translated
  { cidr: '64:ff9b::/96', at: [LAST], routable: true }, // RFC 6052 NAT64
  { cidr: '64:ff9b:1::/48', at: [LAST, [6, 7, 9, 10]], routable: false }, // RFC 8215 local-use NAT64, two layouts
  { cidr: '2002::/16', at: [[2, 3, 4, 5]], routable: true }, // RFC 3056 6to4
  { cidr: '2001::/32', at: [LAST], inverted: true, routable: false }, // RFC 4380 Teredo
  { cidr: '::/96', at: [LAST], routable: false }, // RFC 4291 IPv4-compatible
];

type Parsed = ipaddr.IPv4 | ipaddr.IPv6;

const compile = (rows: readonly Row[]) => rows.map(([cidr, name]) => ({ range: ipaddr.parseCIDR(cidr), name }));
const V4_TABLE = compile(V4);
const V6_TABLE = compile(V6);
const EMBEDDING_TABLE = EMBEDDING.map((form) => ({ ...form, range: ipaddr.parseCIDR(form.cidr) }));

/** Parses a textual address; IPv4-mapped IPv6 becomes IPv4. Undefined for anything else, zone identifiers included. */
function parseAddress(text: string): Parsed | undefined {
  // ipaddr.js also reads octal, hexadecimal and short forms, which no resolver or socket prints.
  if (
    text.includes(':') ? !/^[0-9a-f:.]+$/i.test(text) : !/^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/.test(text)
  ) {
    return undefined;
  }
  // ipaddr.js takes the IPv4-compatible `::a.b.c.d` for the mapped `::ffff:a.b.c.d`; spelled so, it does not.
  const spelled = text.replace(/^::(?=\d+\.)/, '0::');
  return ipaddr.isValid(spelled) ? ipaddr.process(spelled) : undefined;
}

/** One spelling for one address (RFC 5952; mapped addresses as IPv4). Undefined when it is none. */
export function canonicalAddress(text: string): string | undefined {
  return parseAddress(text)?.toString();
}

/** Classifies an address; one that carries an IPv4 address is never better than what it carries. */
export function classifyAddress(text: string): AddressClass {
  const address = parseAddress(text);
  return address ? classify(address) : 'invalid';
}

function classify(address: Parsed): AddressClass {
  if (address instanceof ipaddr.IPv4) return V4_TABLE.find(({ range }) => within(address, range))?.name ?? 'public';
  const listed = V6_TABLE.find(({ range }) => within(address, range))?.name;
  if (listed === 'unspecified' || listed === 'loopback') return listed;
  const form = EMBEDDING_TABLE.find(({ range }) => within(address, range));
  if (!form) return listed ?? 'reserved';
  const bytes = address.toByteArray().map((byte) => (form.inverted ? byte ^ 0xff : byte));
  let inner: AddressClass = 'public';
  for (const [layout, places] of form.at.entries()) {
    const carried = classify(new ipaddr.IPv4(places.map((place) => bytes[place] ?? 0)));
    // Zeros in the place of a second layout say that it is not the one in use.
    if (layout > 0 && carried === 'unspecified') continue;
    if (inner === 'public' || NEVER.has(carried)) inner = carried;
  }
  return inner === 'public' && !form.routable ? 'transition' : inner;
}

/** True when `name` is a cloud's metadata service by name. */
export function isMetadataName(name: string): boolean {
  return METADATA_NAMES.has(name);
}

/** True when no policy may open the class: only the operator's host map leads there. */
export function isNeverAllowed(name: AddressClass): boolean {
  return NEVER.has(name);
}

/** True when one of the CIDR blocks (or bare addresses) holds the address. A block that cannot be read holds nothing. */
export function inBlocks(text: string, blocks: readonly string[]): boolean {
  const address = parseAddress(text);
  if (!address) return false;
  return blocks.some((block) => {
    const [base = '', length] = block.split('/');
    const network = parseAddress(base);
    if (!network || network.kind() !== address.kind()) return false;
    const full = network instanceof ipaddr.IPv4 ? 32 : 128;
    const bits = length === undefined ? full : Number(length);
    return Number.isInteger(bits) && bits >= 0 && bits <= full && within(address, [network, bits]);
  });
}

function within(address: Parsed, [network, bits]: [Parsed, number]): boolean {
  if (address instanceof ipaddr.IPv4) return network instanceof ipaddr.IPv4 && address.match(network, bits);
  return network instanceof ipaddr.IPv6 && address.match(network, bits);
}
