import { SANDBOX_IPV4_BYTES, SANDBOX_IPV6_BYTES } from './addresses.ts';
import { Batch, CREATE, EXCLUSIVE, le32 } from './netlink.ts';

// rtnetlink(7)
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const RTA_OIF = 4;
const RTA_PREFSRC = 7;
const RT_TABLE_LOCAL = 255;
const RTPROT_BOOT = 3;
const RT_SCOPE_HOST = 254;
const RTN_LOCAL = 2;
const AF_INET = 2;
const AF_INET6 = 10;
const IFF_UP = 1;
/** `lo` is the first interface of every network namespace. */
const LOOPBACK = 1;

function addAddress(batch: Batch, family: number, address: Uint8Array): void {
  const fixed = Buffer.from([family, address.length * 8, 0, 0, LOOPBACK, 0, 0, 0]);
  const ipv6 = family === AF_INET6;
  batch.add(RTM_NEWADDR, {
    flags: CREATE | EXCLUSIVE,
    fixed,
    attributes: [
      [IFA_LOCAL, address],
      [IFA_ADDRESS, address],
      ...(ipv6 ? [[IFA_FLAGS, le32(IFA_F_NODAD)] as const] : []),
    ],
  });
}

/** A default route of type "local": every address there is, is one of ours (AnyIP). */
function addAnyIp(batch: Batch, family: number, source: Uint8Array): void {
  const scope = family === AF_INET ? RT_SCOPE_HOST : 0;
  batch.add(RTM_NEWROUTE, {
    flags: CREATE,
    fixed: Buffer.from([family, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, scope, RTN_LOCAL, 0, 0, 0, 0]),
    attributes: [
      [RTA_OIF, le32(LOOPBACK)],
      [RTA_PREFSRC, source],
    ],
  });
}

/** Brings `lo` up, gives it a source address and makes it the way to everywhere. */
export function routes(ipv6: boolean): Batch {
  const batch = new Batch();
  const link = Buffer.alloc(16);
  link.writeInt32LE(LOOPBACK, 4);
  link.writeUInt32LE(IFF_UP, 8);
  link.writeUInt32LE(IFF_UP, 12);
  batch.add(RTM_NEWLINK, { fixed: link });
  addAddress(batch, AF_INET, SANDBOX_IPV4_BYTES);
  addAnyIp(batch, AF_INET, SANDBOX_IPV4_BYTES);
  if (ipv6) {
    addAddress(batch, AF_INET6, SANDBOX_IPV6_BYTES);
    addAnyIp(batch, AF_INET6, SANDBOX_IPV6_BYTES);
  }
  return batch;
}
