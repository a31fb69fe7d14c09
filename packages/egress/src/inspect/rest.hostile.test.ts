import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { allow, drain, Kit, LIMIT, RawOrigin } from '../testing/kit.ts';

/** Requests that two parties could read in two ways. The origin must see not one byte of any. */
const HOSTILE: readonly (readonly [what: string, bytes: string, status: RegExp])[] = [
  [
    'CL.TE',
    'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG',
    /400/,
  ],
  [
    'TE.CL',
    'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n',
    /400/,
  ],
  [
    'TE.TE',
    'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n',
    /400/,
  ],
  [
    'TE gzip, chunked',
    'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    /400/,
  ],
  ['TE xchunked', 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', /400|^$/],
  [
    'TE with a space before the colon',
    'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    /400/,
  ],
  [
    'TE with a vertical tab',
    'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
    /400/,
  ],
  ['TE in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', /400/],
  ['TE with an underscore', 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer_Encoding: chunked\r\n\r\n', /400/],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', /400/],
  [
    'one length twice',
    'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc',
    /400/,
  ],
  ['a list of lengths', 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3, 3\r\n\r\nabc', /400/],
  ['a signed length', 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: +3\r\n\r\nabc', /400/],
  ['a length with an underscore', 'POST / HTTP/1.1\r\nHost: a.example\r\nContent_Length: 3\r\n\r\n', /400/],
  ['bare LF after the request line', 'GET / HTTP/1.1\nHost: a.example\r\n\r\n', /400/],
  ['bare LF after a field', 'GET / HTTP/1.1\r\nHost: a.example\nX: y\r\n\r\n', /400/],
  ['bare CR in a value', 'GET / HTTP/1.1\r\nHost: a.example\r\nX: a\rb\r\n\r\n', /400/],
  ['NUL in a value', 'GET / HTTP/1.1\r\nHost: a.example\r\nX: a\0b\r\n\r\n', /400/],
  ['a folded line', 'GET / HTTP/1.1\r\nHost: a.example\r\nX: a\r\n b\r\n\r\n', /400/],
  ['an empty field name', 'GET / HTTP/1.1\r\nHost: a.example\r\n: x\r\n\r\n', /400/],
  ['a space in a field name', 'GET / HTTP/1.1\r\nHost: a.example\r\nX Y: x\r\n\r\n', /400/],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', /400/],
  ['no Host in HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', /400/],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n', /400/],
  ['another Host', 'GET / HTTP/1.1\r\nHost: b.example\r\n\r\n', /421/],
  ['Host with another port', 'GET / HTTP/1.1\r\nHost: a.example:81\r\n\r\n', /421/],
  ['Host with a user', 'GET / HTTP/1.1\r\nHost: a.example@b.example\r\n\r\n', /421/],
  ['Host with a path', 'GET / HTTP/1.1\r\nHost: a.example/x\r\n\r\n', /421/],
  ['Host with a trailing dot', 'GET / HTTP/1.1\r\nHost: a.example.\r\n\r\n', /421/],
  ['empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', /421/],
  ['a list of Hosts', 'GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n', /421/],
  ['absolute form of another host', 'GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n', /421/],
  ['absolute form of another scheme', 'GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n', /421/],
  ['absolute form with a user', 'GET http://a.example@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n', /421/],
  ['authority form', 'GET a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['asterisk form', 'OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['CONNECT', 'CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n', /403/],
  ['an escaped slash', 'GET /a%2fb HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['an escaped backslash', 'GET /a%5cb HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['a backslash', 'GET /a\\..\\b HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['an escaped NUL', 'GET /a%00 HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['an escaped line end', 'GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['raw non-ASCII', 'GET /\xe9 HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['a double slash', 'GET //admin HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['a path parameter', 'GET /admin;x/y HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['above the root', 'GET /../a HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['above the root, escaped', 'GET /a/%2e%2e/%2E./b HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['escaped twice', 'GET /a/%252e%252e/b HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['overlong UTF-8', 'GET /a/%c0%ae%c0%ae/b HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['a full-width slash', 'GET /a%ef%bc%8fb HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['a broken escape', 'GET /a%zz HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['a target of 9000 bytes', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a.example\r\n\r\n`, /414/],
  ['40 KiB of fields', `GET / HTTP/1.1\r\nHost: a.example\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`, /431/],
  ['HTTP/0.9', 'GET /\r\n\r\n', /400/],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a.example\r\n\r\n', /400/],
  ['HTTP/2.0 in text', 'GET / HTTP/2.0\r\nHost: a.example\r\n\r\n', /400/],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /400/],
  ['a lower-case method', 'get / HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  ['an unknown method', 'FROB / HTTP/1.1\r\nHost: a.example\r\n\r\n', /400/],
  [
    'a WebSocket upgrade',
    'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    /403/,
  ],
  [
    'h2c',
    'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n',
    /403/,
  ],
  ['Connection: host', 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close, host\r\n\r\n', /400/],
  [
    'Connection: content-length',
    'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nConnection: content-length\r\n\r\nx',
    /400/,
  ],
  ['a path override', 'GET / HTTP/1.1\r\nHost: a.example\r\nX-Original-URL: /admin\r\n\r\n', /403/],
  ['a path override with underscores', 'GET / HTTP/1.1\r\nHost: a.example\r\nX_Rewrite_URL: /admin\r\n\r\n', /403/],
  [
    'a method override that is none',
    'POST / HTTP/1.1\r\nHost: a.example\r\nX-HTTP-Method: D E\r\nContent-Length: 0\r\n\r\n',
    /400/,
  ],
  [
    'a method override to a denied one',
    'POST / HTTP/1.1\r\nHost: a.example\r\nX-HTTP-Method-Override: delete\r\nContent-Length: 0\r\n\r\n',
    /403/,
  ],
  [
    'the same with underscores',
    'POST / HTTP/1.1\r\nHost: a.example\r\nX_Method_Override: DELETE\r\nContent-Length: 0\r\n\r\n',
    /403/,
  ],
];

describe('what could be read in two ways never reaches the origin', LIMIT, () => {
  let origin: RawOrigin | undefined;
  let kit: Kit | undefined;
  after(async () => {
    await kit?.close();
    origin?.close();
  });

  test('set-up', async () => {
    origin = await RawOrigin.start();
    kit = await Kit.start({
      decide: (action) => {
        if (action.kind !== 'http.request') return allow('rest');
        return action.method === 'DELETE'
          ? { effect: 'deny', rule: { id: 'r', name: 'r' }, reason: 'no deleting', enforced: true }
          : allow();
      },
      hosts: { 'a.example': origin.port },
    });
  });

  for (const [what, bytes, status] of HOSTILE) {
    test(what, async () => {
      assert.ok(origin && kit);
      origin.received = '';
      const before = origin.connections;
      const client = await kit.connect('a.example', 80);
      client.write(Buffer.from(bytes, 'latin1'));
      client.end();
      const answer = await drain(client);
      const [line = ''] = answer.split('\r\n', 1);
      // The parser may notice only after the head: then there is no answer, but nothing went on either.
      assert.match(line.slice('HTTP/1.1 '.length), status);
      const text = answer.slice(answer.indexOf('\r\n\r\n') + 4).split('\n', 1)[0];
      if (line !== '') assert.match(JSON.parse(text ?? '').error, /^(policy_denied|bad_request)$/);
      assert.equal(origin.received, '');
      assert.equal(origin.connections, before);

      // The control: without the plane the origin gets these very bytes.
      const direct = net.connect(origin.port, '127.0.0.1');
      await once(direct, 'connect');
      direct.end(Buffer.from(bytes, 'latin1'));
      await drain(direct);
      assert.equal(origin.received, bytes);
    });
  }

  test('a request smuggled behind a refused one is not served either', async () => {
    assert.ok(origin && kit);
    origin.received = '';
    const client = await kit.connect('a.example', 80);
    const smuggled = 'DELETE /x HTTP/1.1\r\nHost: a.example\r\n\r\n';
    client.write(
      `POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    );
    await drain(client);
    assert.equal(origin.received, '');
  });

  test('a broken chunk ends the request unfinished: the origin cannot take it for whole', async () => {
    assert.ok(origin && kit);
    origin.received = '';
    const client = await kit.connect('a.example', 80);
    client.write(
      'POST /up HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\nGET /smuggled HTTP/1.1\r\n\r\n',
    );
    await drain(client);
    assert.doesNotMatch(origin.received, /smuggled/);
    assert.doesNotMatch(origin.received, /\r\n0\r\n/);
  });

  test('random requests: what the origin reads is what was decided on, to the byte', async () => {
    assert.ok(origin && kit);
    const { audit } = kit;
    const port = await kit.listen('a.example', 80);
    const piece = fc.constantFrom(
      '/',
      'a',
      '.',
      '..',
      '%2e',
      '%2F',
      '%5c',
      '%25',
      ';',
      '//',
      '?',
      '#',
      '%C3%A9',
      '+',
      '%2B',
      '%41',
      '|',
      '\\',
      ':',
      '@',
      '%',
      ' ',
    );
    const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'get', 'OPTIONS');
    await fc.assert(
      fc.asyncProperty(method, fc.array(piece, { maxLength: 8 }), async (verb, pieces) => {
        assert.ok(origin);
        origin.received = '';
        const before = audit.actions('http.request', 'decision').length;
        const client = net.connect(port, '127.0.0.1');
        client.on('error', () => {});
        client.write(`${verb} /${pieces.join('')} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
        await drain(client);
        const decided = audit.actions('http.request', 'decision').slice(before);
        const allowed = decided.find(({ decision }) => decision.effect === 'allow');
        const [line = ''] = origin.received.split('\r\n', 1);
        if (allowed?.action.kind !== 'http.request') return assert.equal(line, '');
        const [, sentMethod, sentTarget = ''] = /^(\S+) (\S+) HTTP\/1\.1$/.exec(line) ?? [];
        assert.equal(sentMethod, allowed.action.method);
        assert.equal(sentTarget.split('?', 1)[0], allowed.action.path);
        assert.match(origin.received, /\r\nHost: a\.example\r\n/);
      }),
      { numRuns: 150 },
    );
  });
});
