import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseLog, parsePacket } from './datagram.ts';

function ipv4(protocol: number, destination: readonly number[], rest: readonly number[], options = 0): Buffer {
  const header = Buffer.alloc(20 + options * 4);
  header[0] = 0x40 | (5 + options);
  header[9] = protocol;
  header.set(destination, 16);
  return Buffer.concat([header, Buffer.from(rest)]);
}

function ipv6(next: number, destination: readonly number[], rest: readonly number[]): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header[6] = next;
  header.set(destination, 24);
  return Buffer.concat([header, Buffer.from(rest)]);
}

const DOCUMENTATION = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];

test('addresses, ports and protocols', () => {
  assert.deepEqual(parsePacket(ipv4(17, [8, 8, 4, 4], [0, 9, 1, 187])), {
    address: '8.8.4.4',
    port: 443,
    protocol: 'udp',
  });
  assert.deepEqual(parsePacket(ipv4(17, [8, 8, 4, 4], [0, 9, 0, 53], 2)), {
    address: '8.8.4.4',
    port: 53,
    protocol: 'udp',
  });
  assert.deepEqual(parsePacket(ipv4(1, [1, 2, 3, 4], [8, 0, 1, 187])), {
    address: '1.2.3.4',
    port: 0,
    protocol: 'icmp',
  });
  assert.deepEqual(parsePacket(ipv4(47, [1, 2, 3, 4], [])), { address: '1.2.3.4', port: 0, protocol: '47' });
  assert.deepEqual(parsePacket(ipv6(17, DOCUMENTATION, [0, 9, 1, 187])), {
    address: '2001:db8::5',
    port: 443,
    protocol: 'udp',
  });
  // Behind a hop-by-hop header of 8 bytes.
  assert.deepEqual(parsePacket(ipv6(0, DOCUMENTATION, [17, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 187])), {
    address: '2001:db8::5',
    port: 443,
    protocol: 'udp',
  });
});

test('a later fragment has no port', () => {
  const fragment = ipv4(17, [8, 8, 8, 8], [0, 9, 1, 187]);
  fragment.writeUInt16BE(100, 6);
  assert.equal(parsePacket(fragment)?.port, 0);
});

function logged(payload: Buffer): Buffer {
  const attribute = Buffer.alloc(4);
  attribute.writeUInt16LE(4 + payload.length, 0);
  attribute.writeUInt16LE(9, 2);
  const message = Buffer.concat([Buffer.alloc(20), attribute, payload]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(0x400, 4);
  return Buffer.concat([message, Buffer.alloc((4 - (message.length % 4)) % 4)]);
}

test('several messages in one read', () => {
  const bytes = Buffer.concat([1, 2, 3].map((n) => logged(ipv4(17, [n, n, n, n], [0, 9, 0, n]))));
  assert.deepEqual(
    parseLog(bytes).map(({ address, port }) => `${address}:${port}`),
    ['1.1.1.1:1', '2.2.2.2:2', '3.3.3.3:3'],
  );
});

test('bytes of any kind are parsed or left, never thrown over', () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(bytes, (packet) => void parsePacket(packet)),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(bytes, (packet) => void parseLog(packet)),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(bytes, (packet) => void parseLog(logged(packet))),
    { numRuns: 1000 },
  );
});
