import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHostName, normaliseHost, readHost } from './host.ts';

test('names, addresses and wildcards are stored in one form', () => {
  const forms: Record<string, readonly [kind: string, host: string]> = {
    'API.Example.COM.': ['name', 'api.example.com'],
    'inference.local': ['name', 'inference.local'],
    '_dmarc.example.com': ['name', '_dmarc.example.com'],
    registry: ['name', 'registry'],
    '10.1.2.3': ['address', '10.1.2.3'],
    '::ffff:10.1.2.3': ['address', '10.1.2.3'],
    '[2001:DB8::1]': ['address', '2001:db8::1'],
    '*.Example.com': ['wildcard', '*.example.com'],
    '**.example.com': ['wildcard', '**.example.com'],
    '*-api.example.com': ['wildcard', '*-api.example.com'],
    'a.*.example.com': ['wildcard', 'a.*.example.com'],
    '*.*.example.com': ['wildcard', '*.*.example.com'],
  };
  for (const [written, [kind, host]] of Object.entries(forms))
    assert.deepEqual(readHost(written), { kind, host }, written);
});

test('hosts that are too wide, unreachable or not hosts are refused', () => {
  const wide = ['*', '**', '*.com', '**.com', '*.*', 'api.*', 'api.example.*', '*example.com', 'a.**.example.com'];
  const odd = [
    'a.*b.example.com',
    '**a.example.com',
    '***.example.com',
    '10.0.*.1',
    '*.0.0.1',
    '127.1',
    '0x7f000001',
    '1.2.3.4.5',
  ];
  const unreachable = ['127.0.0.1', '::1', '169.254.169.254', '0.0.0.0', 'localhost', 'x.localhost', 'fe80::1'];
  const malformed = [
    'https://a.example',
    'a.example/x',
    'a.example:443',
    'a..b',
    '.a',
    '-a.example',
    'a b',
    'a\0b',
    'é.example',
    `${'a'.repeat(64)}.example`,
  ];
  for (const written of [...wide, ...odd, ...unreachable, ...malformed]) {
    assert.equal(readHost(written).kind, 'problem', written);
  }
});

test('an international name is answered with its ASCII form', () => {
  const reading = readHost('bücher.example');
  assert.deepEqual(reading.kind === 'problem' && reading.suggestion, 'write `xn--bcher-kva.example`');
});

test('host names', () => {
  for (const name of ['a', 'a.b', 'x_y.example', 'a-b.c', 'a'.repeat(63)]) assert.ok(isHostName(name), name);
  for (const name of ['', '.', 'a.', 'A', 'a..b', '-a', 'a-', 'a b', '1.2.3.4', '10', '*.a.b', 'a'.repeat(254)]) {
    assert.ok(!isHostName(name), name);
  }
  assert.equal(normaliseHost('A.b.'), 'a.b');
});
