import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import type { Action } from '@nemoclaw/policy';
import { allow, deny, drain, Kit, LIMIT, RawOrigin, until } from '../testing/kit.ts';
import { CertificateAuthority } from '../tls/authority.ts';

const open: { close(): unknown }[] = [];
after(async () => {
  for (const each of open.reverse()) await each.close();
});
function keep<T extends { close(): unknown }>(each: T): T {
  open.push(each);
  return each;
}

async function serve(handler: http.RequestListener): Promise<number> {
  const server = http.createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  keep({
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
  return (server.address() as AddressInfo).port;
}

const readOnly = (action: Action) => {
  if (action.kind !== 'http.request') return allow('rest');
  return action.method === 'GET' || action.method === 'HEAD' ? allow() : deny(`${action.method} is not allowed`);
};

/** A plane that inspects a.example:80, and an agent whose connections go there. */
async function plane(port: number, decide: (action: Action) => ReturnType<typeof allow> = () => allow('rest')) {
  const kit = keep(await Kit.start({ decide, hosts: { 'a.example': port } }));
  const local = await kit.listen('a.example', 80);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  keep({ close: () => agent.destroy() });
  const send = (options: http.RequestOptions) =>
    http.request({
      host: '127.0.0.1',
      port: local,
      agent,
      setHost: false,
      ...options,
      headers: { host: 'a.example', ...options.headers },
    });
  return { kit, local, send };
}

async function fetchText(
  request: http.ClientRequest,
  body?: string | Buffer,
): Promise<{ response: http.IncomingMessage; text: string }> {
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  for await (const chunk of response) text += chunk;
  return { response, text };
}

describe('decisions', LIMIT, () => {
  test('allowed and denied requests share a kept-alive connection; the origin sees only the allowed', async () => {
    const seen: string[] = [];
    const sockets = new Set<unknown>();
    const port = await serve((request, response) => {
      sockets.add(request.socket);
      seen.push(`${request.method} ${request.url}`);
      request.resume().on('end', () => response.end('fine'));
    });
    const { kit, send } = await plane(port, readOnly);
    assert.equal((await fetchText(send({ path: '/1?k=v' }))).text, 'fine');
    const { response, text } = await fetchText(send({ method: 'POST', path: '/2?token=hidden' }), 'body');
    assert.equal(response.statusCode, 403);
    assert.deepEqual(JSON.parse(text), {
      error: 'policy_denied',
      reason: 'POST is not allowed',
      action: 'http.request',
      host: 'a.example',
      port: 80,
      method: 'POST',
      path: '/2',
      binary: '/usr/bin/curl',
      rule: 'default:network',
      allow_with: 'host: x',
    });
    const third = send({ path: '/a/b/../3' });
    assert.equal((await fetchText(third)).text, 'fine');
    assert.equal(third.reusedSocket, true);
    assert.deepEqual(seen, ['GET /1?k=v', 'GET /a/3']);
    assert.equal(sockets.size, 1);
    assert.doesNotMatch(JSON.stringify(kit.audit.events), /token|hidden|k=v/);
    const decisions = kit.audit.actions('http.request', 'decision');
    assert.deepEqual(
      decisions.map(({ decision }) => decision.effect),
      ['allow', 'deny', 'allow'],
    );
    const connection = kit.audit.actions('net.connect', 'decision')[0]?.correlation;
    assert.ok(decisions.every(({ parent }) => parent === connection));
  });

  test('each is on record before the origin sees it, and again with its outcome', async () => {
    let kit: Kit | undefined;
    let before: number | undefined;
    const port = await serve((_request, response) => {
      before = kit?.audit.actions('http.request', 'decision').length;
      response.writeHead(404).end('nothing here');
    });
    const made = await plane(port);
    kit = made.kit;
    await fetchText(made.send({ path: '/x' }));
    assert.equal(before, 1);
    await kit.audit.seen(
      (event) => event.type === 'action' && event.action.kind === 'http.request' && event.phase === 'outcome',
    );
    const [outcome] = kit.audit.actions('http.request', 'outcome');
    assert.equal(outcome?.correlation, kit.audit.actions('http.request', 'decision')[0]?.correlation);
    assert.equal(outcome?.outcome?.httpStatus, 404);
    assert.equal(outcome?.outcome?.bytesIn, 12);
  });

  test('requests sent ahead are served one by one, in order', async () => {
    const origin = keep(await RawOrigin.start());
    const { kit } = await plane(origin.port, readOnly);
    const client = await kit.connect('a.example', 80);
    const head = (method: string, path: string) => `${method} ${path} HTTP/1.1\r\nHost: a.example\r\n`;
    client.write(
      `${head('GET', '/1')}\r\n${head('PUT', '/2')}Content-Length: 2\r\n\r\nhi${head('GET', '/3')}Connection: close\r\n\r\n`,
    );
    const answer = await drain(client);
    assert.deepEqual(
      [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => code),
      ['200', '403', '200'],
    );
    assert.deepEqual(
      [...origin.received.matchAll(/^GET (\S+)/gm)].map(([, path]) => path),
      ['/1', '/3'],
    );
    assert.doesNotMatch(origin.received, /PUT|hi/);
  });

  test('too many sent ahead end the connection', async () => {
    const origin = keep(await RawOrigin.start());
    origin.answer = '';
    const { kit } = await plane(origin.port);
    const client = await kit.connect('a.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'.repeat(40));
    assert.equal(await drain(client), '');
    assert.ok(origin.received.split('GET ').length <= 2);
  });

  test('Expect: 100-continue: a denied request is refused before its body is sent', async () => {
    const origin = keep(await RawOrigin.start());
    const { kit } = await plane(origin.port, readOnly);
    const client = await kit.connect('a.example', 80);
    client.write('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n');
    const answer = await drain(client);
    assert.match(answer, /^HTTP\/1\.1 403 /);
    assert.match(answer, /connection: close/i);
    assert.equal(origin.connections, 0);
  });

  test('Expect: 100-continue: an allowed one is told to go on', async () => {
    const port = await serve((request, response) => void request.pipe(response));
    const { send } = await plane(port);
    const request = send({ method: 'POST', path: '/', headers: { expect: '100-continue', 'content-length': '5' } });
    request.flushHeaders();
    await once(request, 'continue');
    assert.equal((await fetchText(request, 'hello')).text, 'hello');
  });

  test('an endless body of a denied request is cut off', async () => {
    const { kit } = await plane(1, readOnly);
    const client = await kit.connect('a.example', 80);
    client.write(`POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`);
    const block = Buffer.alloc(64 * 1024);
    const pump = () => {
      while (!client.destroyed && client.write(block));
    };
    client.on('drain', pump);
    pump();
    assert.match(await drain(client), /^HTTP\/1\.1 403 /);
    assert.ok(client.bytesWritten < 32 * 1024 * 1024);
  });
});

describe('fidelity', LIMIT, () => {
  test('many MiB each way arrive unharmed, and nobody is outrun', async () => {
    const sum = createHash('sha256');
    const payload = randomBytes(24 * 1024 * 1024);
    const port = await serve((request, response) => {
      request.on('data', (chunk) => sum.update(chunk));
      request.on('end', () => response.end(payload));
    });
    const { kit, send } = await plane(port);
    const request = send({ method: 'POST', path: '/up', headers: { 'transfer-encoding': 'chunked' } });
    request.end(payload);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    // While nobody reads, the plane must not take in the whole response.
    response.pause();
    const received = createHash('sha256');
    for await (const chunk of response) received.update(chunk);
    const expected = createHash('sha256').update(payload).digest('hex');
    assert.equal(sum.digest('hex'), expected);
    assert.equal(received.digest('hex'), expected);
    await kit.audit.seen(
      (event) => event.type === 'action' && event.action.kind === 'http.request' && event.phase === 'outcome',
    );
    const [outcome] = kit.audit.actions('http.request', 'outcome');
    assert.equal(outcome?.outcome?.bytesOut, payload.length);
    assert.equal(outcome?.outcome?.bytesIn, payload.length);
  });

  test('an origin is slowed down to the speed of its reader', async () => {
    const written = new Map<string | undefined, number>();
    const total = 64 * 1024 * 1024;
    const begun = new EventEmitter();
    const port = await serve((request, response) => {
      const block = Buffer.alloc(64 * 1024);
      const pump = () => {
        for (let sent = written.get(request.url) ?? 0; sent < total; ) {
          sent += block.length;
          written.set(request.url, sent);
          if (!response.write(block)) return;
        }
        response.end();
      };
      response.on('drain', pump);
      pump();
      begun.emit(request.url ?? '');
    });
    const { kit } = await plane(port);
    const get = async (path: string) => {
      const client = await kit.connect('a.example', 80);
      client.pause();
      const started = once(begun, path);
      client.write(`GET ${path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
      await started;
      return client;
    };
    const size = async (client: net.Socket) => {
      let read = 0;
      for await (const chunk of client) read += chunk.length;
      return read;
    };
    const slow = await get('/slow');
    // In the time of as long a response to a quick reader, nothing but its own reader has held the first one up.
    assert.ok((await size(await get('/quick'))) > total);
    const sent = written.get('/slow') ?? 0;
    assert.ok(sent < total / 2, `the origin wrote ${sent}`);
    assert.ok((await size(slow)) > total);
  });

  test('events of a stream pass as they come', async () => {
    let respond: http.ServerResponse | undefined;
    const port = await serve((_request, response) => {
      respond = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
    });
    const { kit } = await plane(port);
    const client = await kit.connect('a.example', 80);
    client.write('GET /events HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await until(client, /data: 1/);
    respond?.write('data: 2\n\n');
    await until(client, /data: 2/);
    respond?.end();
    await until(client, /0\r\n\r\n/);
  });

  test('status, reason and end-to-end fields pass as they are; those of the hop do not', async () => {
    const origin = keep(await RawOrigin.start());
    origin.answer =
      'HTTP/1.1 299 Quite Fine\r\nX-Twice: 1\r\nx-twice: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nContent-Length: 0\r\n\r\n';
    const { kit } = await plane(origin.port);
    const client = await kit.connect('a.example', 80);
    client.write(
      'GET / HTTP/1.1\r\nHost: a.example\r\nX-Odd:  v \r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\n\r\n',
    );
    const answer = await drain(client);
    assert.match(answer, /^HTTP\/1\.1 299 Quite Fine\r\nX-Twice: 1\r\nx-twice: 2\r\n/);
    assert.doesNotMatch(answer, /X-Hop|timeout=9|^Date:/im);
    assert.match(origin.received, /^GET \/ HTTP\/1\.1\r\nHost: a\.example\r\nX-Odd: v\r\n/);
    assert.doesNotMatch(origin.received, /X-Mine|TE:|Proxy-/i);
  });

  test('trailers pass both ways, dangerous ones do not', async () => {
    let trailers: NodeJS.Dict<string> = {};
    const port = await serve((request, response) => {
      request.resume().on('end', () => {
        trailers = request.trailers;
        response.writeHead(200, { trailer: 'x-sum' });
        response.write('x');
        response.addTrailers({ 'x-sum': 'abc' });
        response.end();
      });
    });
    const { kit } = await plane(port);
    const client = await kit.connect('a.example', 80);
    client.write(
      'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Check: 1\r\nAuthorization: x\r\nX-HTTP-Method: PUT\r\n\r\n',
    );
    await until(client, /x-sum: abc/);
    assert.deepEqual({ ...trailers }, { 'x-check': '1' });
  });

  test('responses without a body: HEAD, 204, 304', async () => {
    const port = await serve((request, response) => {
      if (request.url === '/204') response.writeHead(204).end();
      else if (request.url === '/304') response.writeHead(304, { etag: '"x"' }).end();
      else response.writeHead(200, { 'content-length': '1234' }).end();
    });
    const { send } = await plane(port);
    const head = await fetchText(send({ method: 'HEAD', path: '/head' }));
    assert.equal(head.response.headers['content-length'], '1234');
    assert.equal((await fetchText(send({ path: '/204' }))).response.statusCode, 204);
    const cached = await fetchText(send({ path: '/304' }));
    assert.equal(cached.response.statusCode, 304);
    assert.equal(cached.response.headers.etag, '"x"');
  });

  test('interim responses are tolerated', async () => {
    const port = await serve((_request, response) => {
      response.writeEarlyHints({ link: '</x>; rel=preload' });
      response.writeProcessing();
      response.end('done');
    });
    const { send } = await plane(port);
    assert.equal((await fetchText(send({ path: '/' }))).text, 'done');
  });

  test('a body with GET, and none with POST', async () => {
    const bodies: [string, string | undefined, string][] = [];
    const port = await serve((request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += chunk;
      });
      request.on('end', () => {
        bodies.push([
          request.method ?? '',
          request.headers['content-length'] ?? request.headers['transfer-encoding'],
          text,
        ]);
        response.end();
      });
    });
    const { kit } = await plane(port);
    const client = await kit.connect('a.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc');
    await until(client, /200 OK[\s\S]*\r\n\r\n/);
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n');
    await until(client, /200 OK[\s\S]*\r\n\r\n/);
    client.write('POST / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await until(client, /200 OK[\s\S]*\r\n\r\n/);
    assert.deepEqual(bodies, [
      ['GET', '3', 'abc'],
      ['GET', 'chunked', 'de'],
      ['POST', '0', ''],
    ]);
  });
});

describe('when the origin fails', LIMIT, () => {
  test('refused: 502 with the reason, and the connection lives on', async () => {
    const gone = await RawOrigin.start();
    const { port } = gone;
    gone.close();
    const { send } = await plane(port);
    const { response, text } = await fetchText(send({ method: 'POST', path: '/' }), 'body');
    assert.equal(response.statusCode, 502);
    assert.match(text, /"error":"upstream_unreachable".*ECONNREFUSED/);
    const again = send({ path: '/' });
    assert.equal((await fetchText(again)).response.statusCode, 502);
    assert.equal(again.reusedSocket, true);
  });

  test('death in mid-response breaks the client off: never a short body that looks whole', async () => {
    const origin = net.createServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'));
    });
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    keep(origin);
    const { kit, send } = await plane((origin.address() as AddressInfo).port);
    await assert.rejects(fetchText(send({ path: '/' })), /aborted|ECONNRESET/);
    await kit.audit.seen(
      (event) => event.type === 'action' && event.action.kind === 'http.request' && event.phase === 'outcome',
    );
    assert.equal(kit.audit.actions('http.request', 'outcome')[0]?.outcome?.status, 'failure');
  });

  for (const [what, answer] of [
    ['no HTTP', 'SSH-2.0-x\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy'],
    ['a protocol switch', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'],
  ] as const) {
    test(`an answer that is none (${what}): 502`, async () => {
      const origin = keep(await RawOrigin.start());
      origin.answer = answer;
      const { send } = await plane(origin.port);
      assert.equal((await fetchText(send({ path: '/' }))).response.statusCode, 502);
    });
  }

  test('an origin that hangs up between requests takes its client along', async () => {
    const server = http.createServer({ keepAliveTimeout: 1 }, (_request, response) => response.end('x'));
    server.keepAliveTimeoutBuffer = 0;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    keep(server);
    const { kit } = await plane((server.address() as AddressInfo).port);
    const client = await kit.connect('a.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    assert.match(await drain(client), /200 OK/);
  });

  test('a client that goes away takes its upstream along', async () => {
    let gone: ((value: unknown) => void) | undefined;
    const closed = new Promise((resolve) => {
      gone = resolve;
    });
    const port = await serve((request, response) => {
      response.write('begin');
      request.socket.once('close', gone ?? (() => {}));
    });
    const { kit } = await plane(port);
    const client = await kit.connect('a.example', 80);
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await until(client, /begin/);
    client.destroy();
    await closed;
  });
});

describe('TLS', LIMIT, () => {
  test('is terminated and made anew, verified against the operator’s authority, with the name decided on', async () => {
    const authority = await CertificateAuthority.create('origin');
    let serverName: unknown;
    const origin = https.createServer(await authority.leaf('a.example'), (request, response) => {
      serverName = Reflect.get(request.socket, 'servername');
      response.end(`hello ${request.headers.host}`);
    });
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    keep({ close: () => origin.close() });
    keep({ close: () => origin.closeAllConnections() });
    const { port } = origin.address() as AddressInfo;
    const decide = () => allow('rest');

    const kit = keep(await Kit.start({ decide, hosts: { 'a.example': port }, upstreamCa: [authority.certificatePem] }));
    const client = await kit.connectTls('a.example', 443, { ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(client.alpnProtocol, 'http/1.1');
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    assert.match(await drain(client), /200 OK[\s\S]*hello a\.example/);
    assert.equal(serverName, 'a.example');
    const [decision] = kit.audit.actions('http.request', 'decision');
    assert.equal(decision?.action.kind === 'http.request' && decision.action.scheme, 'https');

    // The control: without the operator's word that authority is worth nothing.
    const strict = keep(await Kit.start({ decide, hosts: { 'a.example': port } }));
    const refused = await strict.connectTls('a.example', 443);
    refused.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    assert.match(await drain(refused), /^HTTP\/1\.1 502 [\s\S]*"error":"upstream_certificate"/);
  });

  test('a certificate for another name is not accepted, and gets no request', async () => {
    const authority = await CertificateAuthority.create('origin');
    const origin = keep(await RawOrigin.start(await authority.leaf('other.example')));
    const hosts = { 'a.example': origin.port };
    const kit = keep(await Kit.start({ decide: () => allow('rest'), hosts, upstreamCa: [authority.certificatePem] }));
    const client = await kit.connectTls('a.example', 443);
    client.write('GET /secret HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    assert.match(await drain(client), /"error":"upstream_certificate"[\s\S]*ERR_TLS_CERT_ALTNAME_INVALID/);
    assert.equal(origin.received, '');
  });

  test('tls: skip leaves TLS alone', async () => {
    const authority = await CertificateAuthority.create('origin');
    const origin = keep(await RawOrigin.start(await authority.leaf('a.example')));
    const kit = keep(
      await Kit.start({ decide: () => allow('rest', { tls: 'skip' }), hosts: { 'a.example': origin.port } }),
    );
    const client = await kit.connectTls('a.example', 443, { ca: authority.certificatePem });
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await until(client, /200 OK/);
    assert.equal(kit.audit.actions('http.request', 'decision').length, 0);
  });
});
