/** A datagram that the packet filter refused. */
export interface RefusedDatagram {
  /** Where it wanted to go: a numeric IPv4 or IPv6 address. */
  readonly address: string;
  /** 0 for protocols without ports. */
  readonly port: number;
  /** `udp`, `icmp`, or the IP protocol number. */
  readonly protocol: string;
}

const NLMSG_HEADER = 16;
const NFGEN_HEADER = 4;
const NFULNL_MSG_PACKET = (4 << 8) | 0;
const NFULA_PAYLOAD = 9;
const NLA_TYPE_MASK = 0x3fff;

const UDP = 17;
const NAMES: Readonly<Record<number, string>> = { 1: 'icmp', 58: 'icmp', [UDP]: 'udp' };
/** IPv6 extension headers that carry a "next header" and a length in 8-byte units. */
const EXTENSIONS = new Set([0, 43, 60]);
const FRAGMENT = 44;

function format6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  // The URL parser writes IPv6 addresses canonically (RFC 5952).
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

const portsAt = (packet: Buffer, at: number, protocol: number) =>
  (protocol === UDP || protocol === 132 || protocol === 136) && packet.length >= at + 4
    ? packet.readUInt16BE(at + 2)
    : 0;

function parse4(packet: Buffer): RefusedDatagram | undefined {
  if (packet.length < 20) return undefined;
  const protocol = packet.readUInt8(9);
  const header = (packet.readUInt8(0) & 0xf) * 4;
  const first = (packet.readUInt16BE(6) & 0x1fff) === 0;
  return {
    address: packet.subarray(16, 20).join('.'),
    port: first ? portsAt(packet, header, protocol) : 0,
    protocol: NAMES[protocol] ?? String(protocol),
  };
}

function parse6(packet: Buffer): RefusedDatagram | undefined {
  if (packet.length < 40) return undefined;
  let protocol = packet.readUInt8(6);
  let at = 40;
  while ((EXTENSIONS.has(protocol) || protocol === FRAGMENT) && packet.length >= at + 8) {
    const length = protocol === FRAGMENT ? 8 : (packet.readUInt8(at + 1) + 1) * 8;
    protocol = packet.readUInt8(at);
    at += length;
  }
  return {
    address: format6(packet.subarray(24, 40)),
    port: portsAt(packet, at, protocol),
    protocol: NAMES[protocol] ?? String(protocol),
  };
}

/** The first bytes of an IP packet, version 4 or 6. Undefined when they are too few to tell. */
export function parsePacket(packet: Buffer): RefusedDatagram | undefined {
  const version = packet.length > 0 ? packet.readUInt8(0) >> 4 : 0;
  if (version === 4) return parse4(packet);
  return version === 6 ? parse6(packet) : undefined;
}

function findPayload(attributes: Buffer): Buffer | undefined {
  for (let at = 0; at + 4 <= attributes.length; ) {
    const length = attributes.readUInt16LE(at);
    if (length < 4 || at + length > attributes.length) return undefined;
    const type = attributes.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    if (type === NFULA_PAYLOAD) return attributes.subarray(at + 4, at + length);
    at += (length + 3) & ~3;
  }
  return undefined;
}

/** Netlink bytes from NFLOG (include/uapi/linux/netfilter/nfnetlink_log.h) to the datagrams they tell of. */
export function parseLog(bytes: Buffer): RefusedDatagram[] {
  const found: RefusedDatagram[] = [];
  for (let at = 0; at + NLMSG_HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < NLMSG_HEADER || at + length > bytes.length) break;
    if (bytes.readUInt16LE(at + 4) === NFULNL_MSG_PACKET) {
      const payload = findPayload(bytes.subarray(at + NLMSG_HEADER + NFGEN_HEADER, at + length));
      const datagram = payload === undefined ? undefined : parsePacket(payload);
      if (datagram !== undefined) found.push(datagram);
    }
    at += (length + 3) & ~3;
  }
  return found;
}
