import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { classifyAddress, inBlocks, isNeverAllowed } from './classify.ts';
import { AddressRefused, ResolutionFailed, resolve } from './resolve.ts';

const base = {
  host: 'a.example',
  literal: false,
  port: 443,
  allowedIps: [],
  hosts: new Map(),
  lookup: async () => ['1.1.1.1'],
};

describe('resolve', () => {
  test('gives every checked address, once, in order', async () => {
    const lookup = async () => ['2606:4700::1111', '1.1.1.1', '1.1.1.1'];
    assert.deepEqual(await resolve({ ...base, lookup }), {
      addresses: [
        { address: '2606:4700::1111', family: 6 },
        { address: '1.1.1.1', family: 4 },
      ],
      port: 443,
    });
  });

  test('refuses the name for one bad address among good ones', async () => {
    await assert.rejects(resolve({ ...base, lookup: async () => ['1.1.1.1', '127.0.0.1'] }), AddressRefused);
  });

  test('allowed_ips opens private space, and nothing that must stay closed', async () => {
    const allowedIps = ['0.0.0.0/0', '::/0'];
    const at = (address: string) => resolve({ ...base, allowedIps, lookup: async () => [address] });
    assert.equal((await at('10.0.0.1')).addresses[0]?.address, '10.0.0.1');
    assert.equal((await at('::ffff:10.0.0.1')).addresses[0]?.address, '10.0.0.1');
    for (const address of [
      '127.0.0.1',
      '::1',
      '169.254.169.254',
      '169.254.1.1',
      '0.0.0.0',
      'fe80::1',
      '64:ff9b::127.0.0.1',
    ]) {
      await assert.rejects(at(address), AddressRefused, address);
    }
  });

  test('literal addresses are checked alike, without a lookup', async () => {
    const lookup = async () => assert.fail('asked');
    await assert.rejects(resolve({ ...base, host: '10.0.0.1', literal: true, lookup }), /allowed_ips must list it/);
    const open = await resolve({ ...base, host: '10.0.0.1', literal: true, lookup, allowedIps: ['10.0.0.1/32'] });
    assert.equal(open.addresses[0]?.address, '10.0.0.1');
  });

  test('the operator’s map leads anywhere, and wins over resolution', async () => {
    const hosts = new Map([['a.example', { address: '127.0.0.1', port: 8443 }]]);
    const lookup = async () => assert.fail('asked');
    assert.deepEqual(await resolve({ ...base, hosts, lookup }), {
      addresses: [{ address: '127.0.0.1', family: 4 }],
      port: 8443,
    });
  });

  test('metadata services are refused by name', async () => {
    await assert.rejects(resolve({ ...base, host: 'metadata.google.internal' }), AddressRefused);
  });

  test('says why a name has no address', async () => {
    await assert.rejects(resolve({ ...base, lookup: async () => [] }), ResolutionFailed);
    await assert.rejects(resolve({ ...base, lookup: async () => Array(65).fill('1.1.1.1') }), /more than 64/);
    const lookup = async () => {
      throw Object.assign(new Error('getaddrinfo'), { code: 'EAI_AGAIN' });
    };
    await assert.rejects(resolve({ ...base, lookup }), /EAI_AGAIN/);
  });

  test('whatever a resolver answers, only public or listed addresses come out', async () => {
    const allowedIps = ['10.0.0.0/8', 'fd00::/8'];
    const answers = fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(answers, async (found) => {
        const outcome = await resolve({ ...base, allowedIps, lookup: async () => found }).catch(
          (error: unknown) => error,
        );
        if (outcome instanceof AddressRefused) return;
        const { addresses } = outcome as Awaited<ReturnType<typeof resolve>>;
        for (const { address } of addresses) {
          const found = classifyAddress(address);
          assert.ok(found === 'public' || (!isNeverAllowed(found) && inBlocks(address, allowedIps)), address);
        }
      }),
    );
  });
});
