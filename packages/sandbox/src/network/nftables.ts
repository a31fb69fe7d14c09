import { DNS_PORT, INTERCEPT_PORT, LOG_BYTES, LOG_GROUP, SANDBOX_IPV4_BYTES, SANDBOX_IPV6_BYTES } from './addresses.ts';
import { APPEND, type Attribute, Batch, be16, be32, CREATE, text, u8 } from './netlink.ts';

/**
 * The packet filter of a sandbox, as nf_tables messages (include/uapi/linux/netfilter/nf_tables.h). What `nft` would
 * print:
 *
 *     table inet openshell {
 *       chain intercept { type filter hook prerouting priority mangle; policy accept;
 *         tcp to neither loopback nor the sandbox's own address: tproxy to :INTERCEPT_PORT }
 *       chain resolve { type nat hook output priority -100; policy accept;
 *         udp dport 53 redirect to :53 }
 *       chain leave { type filter hook output priority 0; policy drop;
 *         tcp dport INTERCEPT_PORT to loopback or the own address: reject with tcp reset
 *         to loopback or the own address: accept
 *         tcp: accept
 *         log group LOG_GROUP; reject with icmpx port-unreachable }
 *     }
 */
const TABLE = 'openshell';

const SUBSYSTEM_NFTABLES = 10;
const SUBSYSTEM_ULOG = 4;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NEW_TABLE = 0;
const NEW_CHAIN = 3;
const NEW_RULE = 6;
const FAMILY_INET = 1;
const IPV4 = 2;
const IPV6 = 10;
const TCP = 6;
const UDP = 17;

const HOOK_PREROUTING = 0;
const HOOK_OUTPUT = 3;
const DROP = 0;
const ACCEPT = 1;

const REGISTER_VERDICT = 0;
const REGISTER = 1;

const ELEMENT = 1; // NFTA_LIST_ELEM

const expression = (name: string, data: readonly Attribute[]): Attribute => [
  ELEMENT,
  [
    [1, text(name)],
    [2, data],
  ],
];
const data = (value: Uint8Array): readonly Attribute[] => [[1, value]];

const meta = (key: number): Attribute =>
  expression('meta', [
    [2, be32(key)],
    [1, be32(REGISTER)],
  ]);
const payload = (base: number, offset: number, length: number): Attribute =>
  expression('payload', [
    [1, be32(REGISTER)],
    [2, be32(base)],
    [3, be32(offset)],
    [4, be32(length)],
  ]);
const compare = (operation: number, value: Uint8Array): Attribute =>
  expression('cmp', [
    [1, be32(REGISTER)],
    [2, be32(operation)],
    [3, data(value)],
  ]);
const equal = (value: Uint8Array) => compare(0, value);
const unequal = (value: Uint8Array) => compare(1, value);
const masked = (mask: Uint8Array): Attribute =>
  expression('bitwise', [
    [1, be32(REGISTER)],
    [2, be32(REGISTER)],
    [3, be32(mask.length)],
    [4, data(mask)],
    [5, data(new Uint8Array(mask.length))],
  ]);
const load = (value: Uint8Array): Attribute =>
  expression('immediate', [
    [1, be32(REGISTER)],
    [2, data(value)],
  ]);
const accept: Attribute = expression('immediate', [
  [1, be32(REGISTER_VERDICT)],
  [2, [[2, [[1, be32(ACCEPT)]]]]],
]);

const family = (value: number): readonly Attribute[] => [meta(15), equal(u8(value))];
const protocol = (value: number): readonly Attribute[] => [meta(16), equal(u8(value))];
const destinationPort = (port: number): readonly Attribute[] => [payload(2, 2, 2), equal(be16(port))];

interface Net {
  readonly family: number;
  readonly own: Uint8Array;
  readonly loopback: Uint8Array;
  /** Loads the destination address. */
  readonly destination: Attribute;
  /** Cuts it to the prefix of `loopback`. */
  readonly mask: readonly Attribute[];
}
const ipv4: Net = {
  family: IPV4,
  own: SANDBOX_IPV4_BYTES,
  loopback: Uint8Array.of(127, 0, 0, 0),
  destination: payload(1, 16, 4),
  mask: [masked(Uint8Array.of(255, 0, 0, 0))],
};
const ipv6: Net = {
  family: IPV6,
  own: SANDBOX_IPV6_BYTES,
  loopback: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
  destination: payload(1, 24, 16),
  mask: [],
};

/** `struct nfgenmsg`: family, version, resource id. */
const generic = (familyId: number, resource = 0) => Uint8Array.of(familyId, 0, resource >> 8, resource & 0xff);

class Ruleset {
  readonly batch = new Batch();

  constructor() {
    this.batch.add(BATCH_BEGIN, { acknowledged: false, fixed: generic(0, SUBSYSTEM_NFTABLES) });
    this.#message(NEW_TABLE, CREATE, [[1, text(TABLE)]]);
  }

  #message(type: number, flags: number, attributes: readonly Attribute[]): void {
    this.batch.add((SUBSYSTEM_NFTABLES << 8) | type, { flags, fixed: generic(FAMILY_INET), attributes });
  }

  chain(name: string, type: string, hook: number, priority: number, policy: number): void {
    this.#message(NEW_CHAIN, CREATE, [
      [1, text(TABLE)],
      [3, text(name)],
      [
        4,
        [
          [1, be32(hook)],
          [2, be32(priority)],
        ],
      ],
      [5, be32(policy)],
      [7, text(type)],
    ]);
  }

  rule(chain: string, ...expressions: readonly Attribute[]): void {
    this.#message(NEW_RULE, CREATE | APPEND, [
      [1, text(TABLE)],
      [2, text(chain)],
      [4, expressions],
    ]);
  }

  end(): Batch {
    this.batch.add(BATCH_END, { acknowledged: false, fixed: generic(0, SUBSYSTEM_NFTABLES) });
    return this.batch;
  }
}

function intercept(rules: Ruleset, net: Net): void {
  rules.rule(
    'intercept',
    ...family(net.family),
    ...protocol(TCP),
    net.destination,
    unequal(net.own),
    ...net.mask,
    unequal(net.loopback),
    load(be16(INTERCEPT_PORT)),
    expression('tproxy', [
      [1, be32(net.family)],
      [3, be32(REGISTER)],
    ]),
  );
}

const resetTcp: Attribute = expression('reject', [
  [1, be32(1)], // NFT_REJECT_TCP_RST
  [2, u8(0)],
]);

function local(rules: Ruleset, net: Net): void {
  const own = [...family(net.family), net.destination, equal(net.own)];
  const loopback = [...family(net.family), net.destination, ...net.mask, equal(net.loopback)];
  for (const here of [own, loopback]) {
    rules.rule('leave', ...here, ...protocol(TCP), ...destinationPort(INTERCEPT_PORT), resetTcp);
    rules.rule('leave', ...here, accept);
  }
}

/** The whole filter, as one transaction. */
export function packetFilter(withIpv6: boolean): Batch {
  const nets = withIpv6 ? [ipv4, ipv6] : [ipv4];
  const rules = new Ruleset();
  rules.chain('intercept', 'filter', HOOK_PREROUTING, -150, ACCEPT);
  rules.chain('resolve', 'nat', HOOK_OUTPUT, -100, ACCEPT);
  rules.chain('leave', 'filter', HOOK_OUTPUT, 0, DROP);
  for (const net of nets) intercept(rules, net);
  rules.rule(
    'resolve',
    ...protocol(UDP),
    ...destinationPort(DNS_PORT),
    load(be16(DNS_PORT)),
    expression('redir', [[1, be32(REGISTER)]]),
  );
  for (const net of nets) local(rules, net);
  rules.rule('leave', ...protocol(TCP), accept);
  rules.rule(
    'leave',
    expression('log', [
      [1, be16(LOG_GROUP)],
      [3, be32(LOG_BYTES)],
    ]),
    expression('reject', [
      [1, be32(2)], // NFT_REJECT_ICMPX_UNREACH
      [2, u8(1)], // NFT_REJECT_ICMPX_PORT_UNREACH
    ]),
  );
  return rules.end();
}

/** Binds a socket to the log group: headers only, each packet at once. */
export function logListener(): Batch {
  const batch = new Batch();
  const mode = Buffer.alloc(6);
  mode.writeUInt32BE(LOG_BYTES, 0);
  mode.writeUInt8(2, 4); // NFULNL_COPY_PACKET
  batch.add((SUBSYSTEM_ULOG << 8) | 1, {
    fixed: generic(0, LOG_GROUP),
    attributes: [
      [1, u8(1)], // NFULNL_CFG_CMD_BIND
      [2, mode],
      [5, be32(1)], // queue threshold
    ],
  });
  return batch;
}
