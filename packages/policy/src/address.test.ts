import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalAddress, forbiddenKind, formatBlock, networkOf, overlaps, parseBlock } from './address.ts';

test('one spelling for every address', () => {
  const spellings: Record<string, string[]> = {
    '10.1.2.3': ['10.1.2.3', '::ffff:10.1.2.3', '::ffff:a01:203', '0:0:0:0:0:ffff:0a01:0203', '::FFFF:10.1.2.3'],
    '2001:db8::1': ['2001:DB8:0:0:0:0:0:1', '2001:db8::0:1', '2001:0db8::0001'],
    '::': ['::', '0:0:0:0:0:0:0:0', '0::0'],
    '::1': ['::1', '0::1'],
    '1:0:0:2::3': ['1:0:0:2:0:0:0:3'],
    '1::2:0:0:3:4': ['1:0:0:2:0:0:3:4'],
    '64:ff9b::a01:203': ['64:ff9b::10.1.2.3'],
    '1:2:3:4:5:6:0:8': ['1:2:3:4:5:6:0:8'],
  };
  for (const [canonical, all] of Object.entries(spellings)) {
    for (const text of all) assert.equal(canonicalAddress(text), canonical, text);
  }
});

test('what is not an address', () => {
  const not = '|1|1.2.3|1.2.3.4.5|01.2.3.4|1.2.3.256|0x7f.0.0.1|2130706433|127.1|1.2.3.4 |:|:::|1::2::3|1:2:3:4:5:6:7';
  const more =
    '1:2:3:4:5:6:7:8:9|1:2:3:4:5:6:7::8|fe80::1%eth0|::12345|1.2.3.4::|::1.2.3|[::1]|g::|1:2:3:4:5:6:7:1.2.3.4|1:';
  for (const text of `${not}|${more}`.split('|')) assert.equal(canonicalAddress(text), undefined, JSON.stringify(text));
});

test('agrees with node:net on what an address is', () => {
  const noise = fc.stringMatching(/^[0-9a-f:.]{1,20}$/);
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), noise), (text) => {
      assert.equal(canonicalAddress(text) !== undefined, isIP(text) !== 0, text);
    }),
    { numRuns: 5000 },
  );
});

test('canonical is a fixed point, and the same address to node:net', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = canonicalAddress(text) ?? '';
      assert.equal(canonicalAddress(canonical), canonical);
      const list = new BlockList();
      list.addAddress(text, 'ipv6');
      assert.ok(list.check(canonical, isIP(canonical) === 4 ? 'ipv4' : 'ipv6'), `${text} ${canonical}`);
    }),
  );
});

test('blocks contain what node:net says they contain', () => {
  const octet = fc.integer({ min: 0, max: 255 });
  const address = fc
    .tuple(fc.constantFrom(10, 11), fc.constantFrom(0, 1, 128), octet, octet)
    .map((parts) => parts.join('.'));
  fc.assert(
    fc.property(address, address, fc.integer({ min: 0, max: 32 }), (base, candidate, prefix) => {
      const block = parseBlock(`${base}/${prefix}`);
      const single = parseBlock(candidate);
      assert.ok(block && single);
      const list = new BlockList();
      list.addSubnet(base, prefix, 'ipv4');
      assert.equal(overlaps(networkOf(block), single), list.check(candidate));
    }),
  );
});

test('blocks are written as CIDR, in the IPv4 form where they are IPv4', () => {
  const written: Record<string, string | undefined> = {
    '10.0.0.0/8': '10.0.0.0/8',
    '10.1.2.3': '10.1.2.3/32',
    '10.1.2.3/8': '10.0.0.0/8',
    '::ffff:10.0.0.0/104': '10.0.0.0/8',
    'fd00::/8': 'fd00::/8',
    'fd00::1': 'fd00::1/128',
    '::ffff:0:0/95': '::fffe:0:0/95',
    '10.0.0.0/33': undefined,
    'fd00::/129': undefined,
    '10.0.0.0/08': undefined,
    '10.0.0.0/': undefined,
    '10.0.0.0/8/8': undefined,
    'example.com/8': undefined,
  };
  for (const [text, expected] of Object.entries(written)) {
    const block = parseBlock(text);
    assert.equal(block && formatBlock(block), expected, text);
  }
});

test('what no policy can open, in every disguise', () => {
  const kinds: Record<string, string | undefined> = {
    '127.0.0.1': 'loopback',
    '::1': 'loopback',
    '::ffff:127.0.0.1': 'loopback',
    '64:ff9b::127.0.0.1': 'loopback',
    '2002:7f00:1::': 'loopback',
    '126.0.0.0/7': 'loopback',
    '0.0.0.0/0': 'loopback',
    '::/0': 'loopback',
    '169.254.169.254': 'link-local',
    'fe80::1': 'link-local',
    '64:ff9b::a9fe:a9fe': 'link-local',
    '0.0.0.0': 'unspecified',
    '::': 'unspecified',
    '10.0.0.0/8': undefined,
    'fd00::/8': undefined,
    '8.8.8.8': undefined,
    '2606:4700::/32': undefined,
  };
  for (const [text, expected] of Object.entries(kinds)) {
    const block = parseBlock(text);
    assert.ok(block, text);
    assert.equal(forbiddenKind(block), expected, text);
  }
});
