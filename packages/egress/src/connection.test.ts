import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, describe, test } from 'node:test';
import { allow, deny, drain, Kit, LIMIT, RawOrigin, until } from './testing/kit.ts';
import { CertificateAuthority } from './tls/authority.ts';

const open: { close(): unknown }[] = [];
after(async () => {
  for (const each of open) await each.close();
});

function keep<T extends { close(): unknown }>(each: T): T {
  open.push(each);
  return each;
}

describe('relay', LIMIT, () => {
  test('an allowed connection without inspection passes bytes untouched, half-close included', async () => {
    const echo = keep(net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)));
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const kit = keep(await Kit.start({ hosts: { 'db.example': (echo.address() as net.AddressInfo).port } }));
    const client = await kit.connect('db.example', 5432);
    const sent = Buffer.alloc(8 * 1024 * 1024, 'nemoclaw');
    client.end(sent);
    assert.equal(await drain(client), sent.toString('latin1'));
    await kit.audit.seen((event) => event.type === 'action' && event.phase === 'outcome');
    const [decision] = kit.audit.actions('net.connect', 'decision');
    const [outcome] = kit.audit.actions('net.connect', 'outcome');
    assert.equal(decision?.action.kind === 'net.connect' && decision.action.host, 'db.example');
    assert.equal(outcome?.correlation, decision?.correlation);
    assert.equal(outcome?.outcome?.status, 'success');
    assert.equal(outcome?.outcome?.bytesOut, sent.length);
    assert.equal(outcome?.outcome?.bytesIn, sent.length);
  });

  test('a destination that cannot be reached resets the client and says so in the record', async () => {
    const gone = await RawOrigin.start();
    const { port } = gone;
    gone.close();
    const kit = keep(await Kit.start({ hosts: { 'gone.example': port } }));
    const client = await kit.connect('gone.example', 22);
    assert.equal(await drain(client), '');
    await kit.audit.seen((event) => event.type === 'action' && event.phase === 'outcome');
    assert.match(kit.audit.actions('net.connect', 'outcome')[0]?.outcome?.detail ?? '', /ECONNREFUSED/);
  });
});

describe('denial', LIMIT, () => {
  test('an HTTP client reads a 403 that says why', async () => {
    const kit = keep(await Kit.start({ decide: () => deny('no rule for evil.example') }));
    const client = await kit.connect('evil.example', 80);
    client.write('POST /upload?secret=1 HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 3\r\n\r\nabc');
    const answer = await drain(client);
    assert.match(answer, /^HTTP\/1\.1 403 Forbidden\r\ncontent-type: application\/json\r\n/);
    const body = JSON.parse(answer.split('\r\n\r\n')[1] ?? '');
    assert.deepEqual(body, {
      error: 'policy_denied',
      reason: 'no rule for evil.example',
      action: 'net.connect',
      host: 'evil.example',
      port: 80,
      method: 'POST',
      path: '/upload',
      binary: '/usr/bin/curl',
      rule: 'default:network',
      allow_with: 'host: x',
    });
  });

  test('so does an HTTPS client, over TLS it trusts', async () => {
    const kit = keep(await Kit.start({ decide: () => deny() }));
    const client = await kit.connectTls('evil.example', 443);
    client.write('GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n');
    assert.match(await drain(client), /^HTTP\/1\.1 403 [\s\S]*"error":"policy_denied"/);
  });

  test('and one that goes to an address', async () => {
    const kit = keep(await Kit.start({ decide: () => deny() }));
    const client = await kit.connectTls('1.2.3.4', 443);
    client.write('GET / HTTP/1.1\r\nHost: 1.2.3.4\r\n\r\n');
    assert.match(await drain(client), /^HTTP\/1\.1 403 [\s\S]*"host":"1.2.3.4"/);
    const [event] = kit.audit.actions('net.connect', 'decision');
    assert.equal(event?.action.kind === 'net.connect' && event.action.literal, true);
  });

  for (const [what, bytes] of [
    ['SSH', 'SSH-2.0-OpenSSH_9\r\n'],
    ['nothing', ''],
    ['noise', '\0\x01\x02'],
  ]) {
    test(`a client that speaks ${what} is reset`, async () => {
      const kit = keep(await Kit.start({ decide: () => deny() }));
      const client = await kit.connect('evil.example', 22);
      let code = '';
      client.on('error', (error: NodeJS.ErrnoException) => {
        code = error.code ?? '';
      });
      if (bytes) client.write(bytes);
      await drain(client);
      await new Promise((resolve) => (client.closed ? resolve(undefined) : client.once('close', resolve)));
      assert.equal(code, 'ECONNRESET');
    });
  }

  test('a denial that is not enforced lets the connection through, on record as denied', async () => {
    const origin = keep(await RawOrigin.start());
    const decide = () => ({ ...deny(), enforced: false });
    const kit = keep(await Kit.start({ decide, hosts: { 'a.example': origin.port } }));
    const client = await kit.connect('a.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await until(client, /200 OK/);
    assert.equal(kit.audit.actions('net.connect', 'decision')[0]?.decision.effect, 'deny');
  });
});

describe('fail closed', LIMIT, () => {
  const request = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';

  for (const kind of ['net.connect', 'http.request'] as const) {
    test(`a record of ${kind} that cannot be written: connection destroyed, origin untouched`, async () => {
      const origin = keep(await RawOrigin.start());
      const kit = keep(await Kit.start({ decide: () => allow('rest'), hosts: { 'a.example': origin.port } }));
      kit.audit.failing = (event) => event.type === 'action' && event.action.kind === kind;
      const client = await kit.connect('a.example', 80);
      client.write(request);
      assert.equal(await drain(client), '');
      assert.equal(origin.received, '');
      assert.equal(origin.connections, 0);

      kit.audit.failing = undefined;
      const again = await kit.connect('a.example', 80);
      again.write(request);
      await until(again, /200 OK/);
      assert.equal(origin.connections, 1);
    });
  }

  test('a policy that throws destroys the connection and is a finding', async () => {
    const origin = keep(await RawOrigin.start());
    const decide = () => {
      throw new Error('engine broke');
    };
    const kit = keep(await Kit.start({ decide, hosts: { 'a.example': origin.port } }));
    const client = await kit.connect('a.example', 80);
    client.write(request);
    assert.equal(await drain(client), '');
    assert.equal(origin.connections, 0);
    assert.deepEqual(kit.audit.findings(), ['A connection failed inside the network plane']);
  });

  test('a process that cannot be identified is denied whatever the policy says', async () => {
    const kit = keep(await Kit.start({ identify: async () => [] }));
    const client = await kit.connect('a.example', 80);
    client.write(request);
    assert.match(await drain(client), /^HTTP\/1\.1 403 [\s\S]*could not be identified/);
    assert.equal(kit.audit.actions('net.connect', 'decision')[0]?.decision.rule.id, 'egress:identity');
  });

  test('so is one whose identification fails', async () => {
    const identify = async () => {
      throw new Error('EACCES');
    };
    const kit = keep(await Kit.start({ identify }));
    const client = await kit.connect('a.example', 80);
    client.write(request);
    assert.match(await drain(client), /^HTTP\/1\.1 403 /);
  });
});

describe('destinations', LIMIT, () => {
  for (const address of ['127.0.0.1', '::1', '0.0.0.0', '10.0.0.1', '127.8.8.8']) {
    test(`a connection to ${address} (loopback, or from itself) is destroyed unasked`, async () => {
      const kit = keep(await Kit.start());
      const client = await kit.connect(address, 3129);
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal(await drain(client), '');
      assert.deepEqual(kit.audit.events, []);
    });
  }

  for (const address of ['198.18.77.77', '198.19.255.255', 'fd6e:656d:6f63:6c61::99', 'fd6e:656d:6f63:6c61:1::1']) {
    test(`${address}, an address of the pool that stands for no name, is denied`, async () => {
      const kit = keep(await Kit.start({ decide: () => allow(undefined, { allowedIps: ['0.0.0.0/0', '::/0'] }) }));
      const client = await kit.connect(address, 80);
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.match(await drain(client), /^HTTP\/1\.1 403 [\s\S]*egress:pool/);
    });
  }

  test('a name that leads to a private address is refused, is a finding, and is never dialled', async () => {
    const kit = keep(
      await Kit.start({ decide: () => allow('rest'), lookup: async () => ['93.184.215.14', '10.1.2.3'] }),
    );
    const client = await kit.connect('rebind.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: rebind.example\r\n\r\n');
    const answer = await drain(client);
    assert.match(answer, /^HTTP\/1\.1 403 /);
    assert.match(answer, /rebind\.example leads to 10\.1\.2\.3/);
    assert.match(answer, /allowed_ips: \[\\"10\.1\.2\.3\/32\\"\]/);
    await kit.audit.seen((event) => event.type === 'action' && event.phase === 'outcome');
    const [outcome] = kit.audit.actions('http.request', 'outcome');
    assert.equal(outcome?.decision.effect, 'deny');
    assert.equal(outcome?.outcome?.status, 'failure');
    assert.deepEqual(kit.audit.findings(), ['Destination is not public']);
  });

  test('a name that does not resolve is a 502, not a denial', async () => {
    const lookup = async () => {
      throw Object.assign(new Error('x'), { code: 'ENOTFOUND' });
    };
    const kit = keep(await Kit.start({ decide: () => allow('rest'), lookup }));
    const client = await kit.connect('nowhere.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: nowhere.example\r\n\r\n');
    assert.match(await drain(client), /^HTTP\/1\.1 502 [\s\S]*"error":"upstream_unreachable"[\s\S]*ENOTFOUND/);
  });

  test('resolves once for a connection and asks nothing before the decision', async () => {
    let asked = 0;
    const lookup = async () => {
      asked += 1;
      return ['10.0.0.9'];
    };
    const kit = keep(await Kit.start({ decide: () => deny(), lookup }));
    const refused = await kit.connect('a.example', 80);
    refused.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await drain(refused);
    assert.equal(asked, 0);
    const other = keep(await Kit.start({ lookup }));
    const client = await other.connect('a.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await drain(client);
    assert.equal(asked, 1);
  });

  test('asks nothing for a request that is refused, and says why even when nothing could be resolved', async () => {
    let asked = 0;
    const lookup = async () => {
      asked += 1;
      throw Object.assign(new Error('x'), { code: 'ENOTFOUND' });
    };
    const decide = (action: { kind: string }) => (action.kind === 'net.connect' ? allow('rest') : deny());
    const kit = keep(await Kit.start({ decide, lookup }));
    const client = await kit.connect('nowhere.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: nowhere.example\r\nConnection: close\r\n\r\n');
    assert.match(await drain(client), /^HTTP\/1\.1 403 /);
    assert.equal(asked, 0);
    assert.equal(kit.audit.actions('http.request', 'decision').length, 1);
  });
});

describe('services', LIMIT, () => {
  const services = {
    'inference.local': {
      handle: (
        request: import('node:http').IncomingMessage,
        response: import('node:http').ServerResponse,
        context: unknown,
      ) => {
        request.resume();
        response.end(JSON.stringify(context));
      },
    },
  };

  test('are served over http and https with the processes and the connection, whatever the policy', async () => {
    const kit = keep(await Kit.start({ decide: () => deny(), services }));
    const request = 'POST /v1 HTTP/1.1\r\nHost: inference.local\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx';
    const plain = await kit.connect('inference.local', 80);
    plain.write(request);
    assert.match(await drain(plain), /200 OK[\s\S]*\/usr\/bin\/curl[\s\S]*"connection":"c/);
    const secure = await kit.connectTls('inference.local', 443);
    secure.write(request);
    assert.match(await drain(secure), /200 OK[\s\S]*\/usr\/bin\/curl/);
  });

  test('a request for another host on their connection is refused', async () => {
    const kit = keep(await Kit.start({ services }));
    const client = await kit.connect('inference.local', 80);
    client.write('GET / HTTP/1.1\r\nHost: other.example\r\n\r\n');
    assert.match(await drain(client), /^HTTP\/1\.1 421 /);
  });
});

describe('TLS server names', LIMIT, () => {
  test('a forged one on an inspected connection is refused, a finding, and never reaches the origin', async () => {
    const authority = await CertificateAuthority.create('origin');
    const origin = keep(await RawOrigin.start(await authority.leaf('a.example')));
    const options = {
      decide: () => allow('rest'),
      hosts: { 'a.example': origin.port },
      upstreamCa: [authority.certificatePem],
    };
    const kit = keep(await Kit.start(options));
    const forged = await kit.connectTls('a.example', 443, { servername: 'b.example' });
    forged.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    assert.match(await drain(forged), /^HTTP\/1\.1 421 /);
    assert.deepEqual(kit.audit.findings(), ['Forged server name']);
    assert.equal(origin.connections, 0);

    const honest = await kit.connectTls('a.example', 443);
    honest.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await until(honest, /200 OK/);
    assert.equal(origin.connections, 1);
  });
});

test('an inspected client that closes without a word is let go at once', LIMIT, async () => {
  const kit = keep(await Kit.start({ decide: () => allow('rest'), hosts: { 'a.example': 1 } }));
  const client = await kit.connect('a.example', 80);
  client.end();
  await drain(client);
  await kit.audit.seen((event) => event.type === 'action' && event.phase === 'outcome');
  assert.equal(kit.audit.actions('net.connect', 'outcome')[0]?.outcome?.detail, 'the client sent nothing');
});

test('a failure of the plane itself ends the connection and says in a finding what it was', LIMIT, async () => {
  const decide = () => {
    throw new RangeError(`out of reach ${'x'.repeat(1000)}`);
  };
  const kit = keep(await Kit.start({ decide }));
  assert.equal(await drain(await kit.connect('a.example', 80)), '');
  const event = await kit.audit.seen(({ type }) => type === 'finding');
  assert.match(event.type === 'finding' ? event.message : '', /^it was destroyed \(RangeError: out of reach x{187}\)$/);
});

describe('bounds', LIMIT, () => {
  test('too many connections: the next is reset, one finding; when some close there is room again', async () => {
    const origin = keep(await RawOrigin.start());
    const kit = keep(await Kit.start({ hosts: { 'a.example': origin.port }, bounds: { connections: 2 } }));
    const port = await kit.listen('a.example', 80);
    const request = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';
    const connect = () => {
      const client = net.connect(port, '127.0.0.1').on('error', () => {});
      client.write(request);
      return client;
    };
    const held = [connect(), connect()];
    for (const client of held) await until(client, /200 OK/);
    for (let i = 0; i < 3; i++) assert.equal(await drain(connect()), '');
    assert.deepEqual(kit.audit.findings(), ['Too many connections']);
    held[0]?.destroy();
    await kit.audit.seen((event) => event.type === 'action' && event.phase === 'outcome');
    await until(connect(), /200 OK/);
  });

  test('refused datagrams are recorded once per destination', async () => {
    const kit = keep(await Kit.start({ decide: () => deny('no datagrams') }));
    for (let i = 0; i < 3; i++) kit.engine.datagram({ address: '9.9.9.9', port: 443, protocol: 'udp' });
    kit.engine.datagram({ address: '9.9.9.9', port: 444, protocol: 'udp' });
    assert.equal(kit.audit.actions('net.datagram', 'decision').length, 2);
    await kit.close();
    assert.deepEqual(kit.audit.findings(), ['Repeated or excess network events']);
    kit.audit.failing = () => true;
    assert.throws(() => kit.engine.datagram({ address: '1.1.1.1', port: 1, protocol: 'udp' }), /disk full/);
  });
});

test('close destroys everything, writes the last outcomes and then resolves', LIMIT, async () => {
  const origin = keep(await RawOrigin.start());
  const kit = await Kit.start({ decide: () => allow('rest'), hosts: { 'a.example': origin.port } });
  const client = await kit.connect('a.example', 80);
  client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  await until(client, /200 OK/);
  origin.answer = '';
  client.write('GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n');
  await kit.audit.seen(
    (event) => event.type === 'action' && event.action.kind === 'http.request' && event.action.path === '/slow',
  );
  await kit.close();
  assert.equal(kit.audit.actions('net.connect', 'outcome').length, 1);
  assert.equal(kit.audit.actions('http.request', 'outcome').length, 2);
  assert.equal(kit.audit.actions('http.request', 'outcome')[1]?.outcome?.status, 'failure');
});
