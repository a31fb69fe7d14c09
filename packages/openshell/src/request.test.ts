import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEnv, parseHosts, workDirectory } from './request.ts';

test('--add-host: names, addresses, ports', () => {
  const hosts = parseHosts(['A.example=10.0.0.1', 'b=127.0.0.1:8080', 'c=::1', 'd=[fd00::1]:443', 'e=[::1]']);
  assert.deepEqual(
    [...hosts],
    [
      ['a.example', { address: '10.0.0.1' }],
      ['b', { address: '127.0.0.1', port: 8080 }],
      ['c', { address: '::1' }],
      ['d', { address: 'fd00::1', port: 443 }],
      ['e', { address: '::1' }],
    ],
  );
});

test('--add-host: what is not NAME=IP[:PORT] is refused', () => {
  const wrong = [
    '',
    'a',
    '=1.2.3.4',
    'a=',
    'a=b',
    'a=1.2.3',
    'a=1.2.3.4:0',
    'a=1.2.3.4:65536',
    'a=[::1]:x',
    '-a=1.2.3.4',
  ];
  for (const entry of wrong) assert.throws(() => parseHosts([entry]), /--add-host/, entry);
});

test('--add-host: whatever is accepted is an address that can be dialled', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab.=:[]0123456789f/@\0 ') }), (entry) => {
      let hosts: ReturnType<typeof parseHosts>;
      try {
        hosts = parseHosts([entry]);
      } catch (error) {
        assert.match((error as Error).message, /--add-host/);
        return;
      }
      for (const [name, { address, port }] of hosts) {
        assert.notEqual(isIP(address), 0);
        assert.ok(port === undefined || (Number.isInteger(port) && port > 0 && port < 65536));
        assert.match(name, /^[a-z0-9_.-]+$/);
      }
    }),
  );
});

test('--env: a value, or the caller’s own', () => {
  assert.deepEqual(parseEnv(['A=1=2', 'B', 'C='], { B: 'b', SECRET: 'x' }), { A: '1=2', B: 'b', C: '' });
  assert.throws(() => parseEnv(['D'], {}), /not set here/);
  assert.throws(() => parseEnv(['1A=x'], {}), /not a variable name/);
});

test('--workdir: the root directory and what is no directory are refused', () => {
  assert.throws(() => workDirectory('/'), /give the whole machine away/);
  assert.throws(() => workDirectory('/dev/null'), /not a directory/);
  assert.throws(() => workDirectory('/no/such/place'), /ENOENT/);
});
