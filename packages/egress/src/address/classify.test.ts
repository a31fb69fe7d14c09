import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type AddressClass,
  canonicalAddress,
  classifyAddress,
  inBlocks,
  isMetadataName,
  isNeverAllowed,
} from './classify.ts';

const TABLE: Readonly<Record<string, AddressClass>> = {
  '1.1.1.1': 'public',
  '8.8.8.8': 'public',
  '100.63.255.255': 'public',
  '100.128.0.0': 'public',
  '172.15.255.255': 'public',
  '172.32.0.0': 'public',
  '198.20.0.0': 'public',
  '223.255.255.255': 'public',
  '2606:4700::1111': 'public',
  '0.0.0.0': 'unspecified',
  '0.1.2.3': 'unspecified',
  '::': 'unspecified',
  '127.0.0.1': 'loopback',
  '127.255.255.255': 'loopback',
  '::1': 'loopback',
  '169.254.1.1': 'link-local',
  'fe80::1': 'link-local',
  'febf::1': 'link-local',
  '169.254.169.254': 'metadata',
  '169.254.170.2': 'metadata',
  '100.100.100.200': 'metadata',
  '192.0.0.192': 'metadata',
  '168.63.129.16': 'metadata',
  'fd00:ec2::254': 'metadata',
  'fd20:ce::254': 'metadata',
  '10.0.0.0': 'private',
  '10.255.255.255': 'private',
  '172.16.0.1': 'private',
  '172.31.255.255': 'private',
  '192.168.0.1': 'private',
  'fec0::1': 'private',
  '100.64.0.1': 'shared',
  'fc00::1': 'unique-local',
  'fd12:3456::1': 'unique-local',
  '192.0.0.8': 'reserved',
  '240.0.0.1': 'reserved',
  '100::1': 'reserved',
  '4000::1': 'reserved',
  '192.0.2.1': 'documentation',
  '198.51.100.1': 'documentation',
  '203.0.113.1': 'documentation',
  '2001:db8::1': 'documentation',
  '198.18.0.1': 'benchmark',
  '198.19.255.255': 'benchmark',
  '224.0.0.1': 'multicast',
  '239.255.255.255': 'multicast',
  'ff02::1': 'multicast',
  '255.255.255.255': 'broadcast',
  '192.88.99.1': 'transition',
  // What carries an IPv4 address is judged by it.
  '::ffff:127.0.0.1': 'loopback',
  '::ffff:10.0.0.1': 'private',
  '::ffff:a9fe:a9fe': 'metadata',
  '::ffff:8.8.8.8': 'public',
  '::127.0.0.1': 'loopback',
  '::10.0.0.1': 'private',
  '::8.8.8.8': 'transition',
  '::ffff:0:127.0.0.1': 'loopback',
  '::ffff:0:8.8.8.8': 'transition',
  '64:ff9b::127.0.0.1': 'loopback',
  '64:ff9b::169.254.169.254': 'metadata',
  '64:ff9b::10.0.0.1': 'private',
  '64:ff9b::8.8.8.8': 'public',
  '64:ff9b:1::127.0.0.1': 'loopback',
  '64:ff9b:1::8.8.8.8': 'transition',
  '64:ff9b:1:7f00:0:100::': 'loopback',
  '2002:7f00:1::': 'loopback',
  '2002:a00:1::1': 'private',
  '2002:a9fe:a9fe::': 'metadata',
  '2002:808:808::1': 'public',
  '2001:0:4136:e378:8000:63bf:80ff:fffe': 'loopback',
  '2001:0:4136:e378:8000:63bf:f7f7:f7f7': 'transition',
  // Not addresses as a resolver or a socket spells them.
  'fe80::1%eth0': 'invalid',
  '0x7f.1': 'invalid',
  '127.1': 'invalid',
  '2130706433': 'invalid',
  '010.0.0.1': 'invalid',
  '256.1.1.1': 'invalid',
  localhost: 'invalid',
  '': 'invalid',
};

describe('address classes', () => {
  for (const [address, expected] of Object.entries(TABLE)) {
    test(`${address || '(nothing)'} is ${expected}`, () => assert.equal(classifyAddress(address), expected));
  }

  test('no spelling of an address changes its class', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const canonical = canonicalAddress(address);
        assert.ok(canonical);
        assert.equal(classifyAddress(address), classifyAddress(canonical));
        assert.equal(classifyAddress(address.toUpperCase()), classifyAddress(address));
      }),
    );
  });

  test('an IPv4 address that is not public is not public in any form that carries it', () => {
    fc.assert(
      fc.property(fc.ipV4(), (v4) => {
        if (classifyAddress(v4) === 'public') return;
        const hex = v4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
        const inverted = v4.split('.').map((part) => (Number(part) ^ 0xff).toString(16).padStart(2, '0'));
        const pair = ([a, b, c, d]: string[]) => `${a}${b}:${c}${d}`;
        for (const form of [
          `::ffff:${v4}`,
          `::${v4}`,
          `::ffff:0:${v4}`,
          `64:ff9b::${v4}`,
          `64:ff9b:1::${v4}`,
          `2002:${pair(hex)}::1`,
          `2001:0:102:304:0:0:${pair(inverted)}`,
        ]) {
          assert.notEqual(classifyAddress(form), 'public', form);
        }
      }),
    );
  });

  test('classification never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => void classifyAddress(text)));
  });
});

test('what no policy can open', () => {
  const never = Object.values(TABLE).filter(isNeverAllowed);
  assert.deepEqual([...new Set(never)].sort(), [
    'broadcast',
    'invalid',
    'link-local',
    'loopback',
    'metadata',
    'multicast',
    'unspecified',
  ]);
});

test('metadata services by name', () => {
  assert.equal(isMetadataName('metadata.google.internal'), true);
  assert.equal(isMetadataName('metadata.example'), false);
});

test('CIDR blocks', () => {
  assert.equal(inBlocks('10.1.2.3', ['10.0.0.0/8']), true);
  assert.equal(inBlocks('::ffff:10.1.2.3', ['10.0.0.0/8']), true);
  assert.equal(inBlocks('10.1.2.3', ['10.1.2.3']), true);
  assert.equal(inBlocks('11.1.2.3', ['10.0.0.0/8', '10.1.2.3']), false);
  assert.equal(inBlocks('fd00::1', ['fd00::/16']), true);
  assert.equal(inBlocks('10.1.2.3', ['::/0', 'nonsense', '10.0.0.0/99', '10.0.0.0/x', '/8', '']), false);
});
