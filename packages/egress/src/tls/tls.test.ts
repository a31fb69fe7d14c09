import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { allow, deny, drain, Kit, LIMIT } from '../testing/kit.ts';
import { CertificateAuthority } from './authority.ts';
import { integer, oid, time } from './der.ts';
import { certificateEnvironment } from './environment.ts';

const authority = await CertificateAuthority.create('OpenShell sandbox demo');

describe('certificates', LIMIT, () => {
  test('the authority is one, and signs itself', () => {
    const certificate = new X509Certificate(authority.certificatePem);
    assert.equal(certificate.ca, true);
    assert.equal(certificate.subject, 'CN=OpenShell sandbox demo');
    assert.equal(certificate.verify(certificate.publicKey), true);
    assert.ok(certificate.checkIssued(certificate));
    assert.ok(certificate.validFromDate.getTime() < Date.now());
  });

  for (const host of ['a.example', '1.2.3.4', '2606:4700::1111', `${'a'.repeat(60)}.${'b'.repeat(60)}.example`]) {
    test(`a leaf for ${host.slice(0, 30)} is for it alone`, async () => {
      const { cert } = await authority.leaf(host);
      const certificate = new X509Certificate(cert);
      const issuer = new X509Certificate(authority.certificatePem);
      assert.equal(certificate.ca, false);
      assert.ok(certificate.checkIssued(issuer));
      assert.equal(certificate.verify(issuer.publicKey), true);
      if (net.isIP(host)) assert.ok(certificate.checkIP(host));
      else assert.equal(certificate.checkHost(host), host);
      assert.equal(certificate.checkHost('b.example'), undefined);
      assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
      assert.ok(certificate.validToDate.getTime() < Date.now() + 8 * 24 * 3600_000);
    });
  }

  test('are kept, and the number kept is bounded', async () => {
    const { cert } = await authority.leaf('kept.example');
    assert.equal((await authority.leaf('kept.example')).cert, cert);
    for (let i = 0; i < 256; i++) authority.contextFor(`n${i}.example`);
    assert.notEqual((await authority.leaf('kept.example')).cert, cert);
  });

  test('a TLS client that trusts the authority accepts them', async () => {
    const server = tls.createServer(await authority.leaf('a.example'), (socket) => socket.end('hi'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = tls.connect({
      port: (server.address() as AddressInfo).port,
      host: '127.0.0.1',
      servername: 'a.example',
      ca: authority.certificatePem,
    });
    assert.equal(await drain(client), 'hi');
    assert.equal(client.authorized, true);
    server.close();
  });
});

test('DER details', () => {
  assert.deepEqual([...integer(Buffer.from([0, 0, 0x80]))], [2, 2, 0, 0x80]);
  assert.deepEqual([...integer(Buffer.from([0]))], [2, 1, 0]);
  assert.deepEqual([...oid('1.2.840.10045.4.3.2')], [6, 8, 42, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
  assert.equal(time(new Date('2049-12-31T23:59:59Z')).toString('latin1', 2), '491231235959Z');
  assert.equal(time(new Date('2050-01-01T00:00:00Z')).toString('latin1', 2), '20500101000000Z');
});

test('programs are told of the bundle', () => {
  const environment = certificateEnvironment('/etc/ca.pem');
  for (const name of [
    'NODE_EXTRA_CA_CERTS',
    'SSL_CERT_FILE',
    'REQUESTS_CA_BUNDLE',
    'CURL_CA_BUNDLE',
    'GIT_SSL_CAINFO',
  ]) {
    assert.equal(environment[name], '/etc/ca.pem');
  }
});

/** The ClientHello that Node sends for a name. */
async function clientHello(): Promise<Buffer> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = tls.connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    servername: 'a.example',
  });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const [hello] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  server.close();
  return hello;
}

describe('hostile handshakes', LIMIT, () => {
  for (const inspected of [true, false]) {
    test(`${inspected ? 'on an inspected' : 'on a denied'} connection only end it`, async () => {
      const hello = await clientHello();
      const kit = await Kit.start({
        decide: () => (inspected ? allow('rest') : deny()),
        lookup: async () => ['1.1.1.1'],
      });
      const port = await kit.listen('a.example', 443);
      const change = fc.tuple(fc.nat(hello.length - 1), fc.nat(255));
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 8 }), fc.nat(hello.length), async (changes, length) => {
          const bytes = Buffer.from(hello);
          for (const [at, value] of changes) bytes[at] = value;
          bytes[0] = 0x16;
          const client = net.connect(port, '127.0.0.1');
          client.on('error', () => {});
          client.end(bytes.subarray(0, Math.max(1, length)));
          await drain(client);
        }),
        { numRuns: 60 },
      );
      await kit.close();
      assert.equal(kit.audit.actions('http.request', 'decision').length, 0);
      assert.deepEqual(
        kit.audit.findings().filter((title) => title.includes('inside the network plane')),
        [],
      );
    });
  }
});
