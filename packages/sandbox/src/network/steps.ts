import type { Handoff, Step } from '../plan.ts';
import { DNS_PORT, INTERCEPT_PORT } from './addresses.ts';
import type { Batch } from './netlink.ts';
import { logListener, packetFilter } from './nftables.ts';
import { routes } from './routes.ts';

const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SOL_IP = 0;
const IP_TRANSPARENT = 19;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_TRANSPARENT = 75;
const BACKLOG = 1024;

const batch = (what: string, protocol: number, made: Batch, keep = false): Step => ({
  op: 'netlink',
  what,
  protocol,
  acks: made.acks,
  keep,
  bytes: made.bytes,
});

/** `struct sockaddr_in`; 0.0.0.0 or 127.0.0.1. */
function address4(port: number, loopback: boolean): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  if (loopback) bytes.writeUInt32BE(0x7f000001, 4);
  return bytes;
}

/** `struct sockaddr_in6`; :: or ::1. */
function address6(port: number, loopback: boolean): Uint8Array {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  if (loopback) bytes[23] = 1;
  return bytes;
}

function socket(
  handoff: Handoff,
  ipv6: boolean,
  stream: boolean,
  options: readonly (readonly [level: number, name: number, value: number])[],
): Step {
  const address = ipv6 ? address6 : address4;
  return {
    op: 'socket',
    domain: ipv6 ? AF_INET6 : AF_INET,
    type: stream ? SOCK_STREAM : SOCK_DGRAM,
    address: address(stream ? INTERCEPT_PORT : DNS_PORT, !stream),
    backlog: stream ? BACKLOG : 0,
    options: options.map(([level, name, value]) => ({ level, name, value })),
    handoff,
  };
}

/**
 * The network of a sandbox: every TCP connection to anywhere but loopback arrives at one listener, questions to any
 * name server at two sockets, and everything else is refused and logged.
 */
export function networkSteps(ipv6: boolean): Step[] {
  const transparent6 = [
    [SOL_IPV6, IPV6_V6ONLY, 0],
    [SOL_IPV6, IPV6_TRANSPARENT, 1],
  ] as const;
  return [
    batch('addresses and routes', NETLINK_ROUTE, routes(ipv6)),
    batch('packet filter', NETLINK_NETFILTER, packetFilter(ipv6)),
    batch('log of refused datagrams', NETLINK_NETFILTER, logListener(), true),
    socket('tcp', ipv6, true, [
      [SOL_SOCKET, SO_REUSEADDR, 1],
      [SOL_IP, IP_TRANSPARENT, 1],
      ...(ipv6 ? transparent6 : []),
    ]),
    // Bound to the very address that answers come from, or connection tracking does not recognise them.
    socket('dns4', false, false, []),
    ...(ipv6 ? [socket('dns6', true, false, [])] : []),
  ];
}
