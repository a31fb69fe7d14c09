import { readFile } from 'node:fs/promises';

/** The two ends of a connection as its client sees them. Addresses in canonical text, IPv4-mapped ones as IPv4. */
export interface ClientTuple {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/**
 * The inodes of clients' sockets, from the tables of the network namespace that `pid` is in (proc_pid_net(5)), in the
 * order asked for. Undefined where there is none, or where the socket has lost its last descriptor (inode 0).
 *
 * The kernel walks its whole hash table for one reading, which takes milliseconds whatever the sandbox's size: read
 * once for all who wait, and off the event loop.
 */
export async function socketInodes(pid: number, tuples: readonly ClientTuple[]): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = tuples.map(() => undefined);
  // An IPv4 connection may have been made from an IPv6 socket, by a mapped address: the second table is for all.
  for (const [file, hex] of [['tcp', hexV4] as const, ['tcp6', hexV6] as const]) {
    const wanted = tuples.flatMap((tuple, index) =>
      found[index] === undefined && (file === 'tcp6' || !isV6(tuple)) ? [index] : [],
    );
    if (wanted.length === 0) continue;
    const table = await read(`/proc/${pid}/net/${file}`);
    for (const index of wanted) {
      const tuple = tuples[index];
      if (tuple) found[index] = search(table, tuple, hex);
    }
  }
  return found;
}

function isV6(tuple: ClientTuple): boolean {
  return tuple.localAddress.includes(':') || tuple.remoteAddress.includes(':');
}

function search(table: string, tuple: ClientTuple, hex: (address: string) => string): string | undefined {
  const local = `${hex(tuple.localAddress)}:${hexPort(tuple.localPort)}`;
  const needle = ` ${local} ${hex(tuple.remoteAddress)}:${hexPort(tuple.remotePort)} `;
  for (let at = table.indexOf(needle); at >= 0; at = table.indexOf(needle, at + 1)) {
    const end = table.indexOf('\n', at);
    // After the two addresses: st, queues, timer, retransmits, uid, timeout, inode.
    const inode = table
      .slice(at + needle.length, end < 0 ? undefined : end)
      .trim()
      .split(/\s+/)[6];
    if (inode !== undefined && inode !== '0') return inode;
  }
  return undefined;
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1');
  } catch {
    return '';
  }
}

/** The kernel prints each 32-bit word in host order; both architectures supported are little-endian. */
function hexV4(address: string): string {
  return address
    .split('.')
    .reverse()
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase();
}

function hexV6(address: string): string {
  if (!address.includes(':')) return `0000000000000000FFFF0000${hexV4(address)}`;
  const [head = '', tail = ''] = address.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail.split(':').filter(Boolean);
  const middle = address.includes('::') ? Array<string>(8 - left.length - right.length).fill('0') : [];
  const groups = [...left, ...middle, ...right].map((group) => group.padStart(4, '0'));
  let text = '';
  for (let at = 0; at < 8; at += 2) {
    const word = `${groups[at]}${groups[at + 1]}`;
    text += `${word.slice(6, 8)}${word.slice(4, 6)}${word.slice(2, 4)}${word.slice(0, 2)}`;
  }
  return text.toUpperCase();
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}
