import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { MAX_CONCURRENT_REQUESTS, MAX_REQUEST_BYTES } from './limits.ts';
import { createProvider } from './providers.ts';
import {
  allow,
  ask,
  calling,
  DONE,
  delta,
  deny,
  denying,
  events,
  fakeProvider,
  json,
  KEY,
  parse,
  saying,
  summary,
  testPlane,
  USER,
} from './testing/harness.ts';
import { Upstream } from './upstream.ts';

test('the key goes in, the caller’s own credentials and headers do not', async () => {
  await using upstream = await fakeProvider(saying('hi'));
  await using plane = await testPlane(upstream.provider);
  const answer = await ask(
    plane.origin,
    { model: 'gpt-99', temperature: 0.5, seed: 7 },
    {
      authorization: 'Bearer sk-agent',
      'x-api-key': 'sk-agent',
      cookie: 'a=sk-agent',
      'x-custom': 'sk-agent',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
  );
  const [sent] = upstream.received;
  assert.equal(sent?.headers.authorization, `Bearer ${KEY}`);
  assert.ok(!JSON.stringify(sent?.headers).includes('sk-agent'));
  assert.deepEqual(Object.keys(sent?.headers ?? {}).toSorted(), [
    'accept',
    'accept-encoding',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
  ]);
  assert.equal(sent?.url, '/v1/chat/completions');
  assert.equal(sent?.body.model, 'fake-1');
  assert.equal(sent?.body.temperature, 0.5);
  assert.equal(sent?.body.seed, 7);
  assert.equal(answer.chunks[0]?.model, 'fake-1');
  const [event] = plane.events;
  assert.ok(event?.type === 'action' && event.action.kind === 'inference.request');
  assert.equal(event.action.requestedModel, 'gpt-99');
  assert.deepEqual(event.action.tools, ['read', 'write', 'plugins']);
  assert.equal(event.action.subject.session, '0af7651916cd43dd8448eb211c80319c');
  assert.equal(event.action.subject.processes?.[0]?.executable, '/usr/bin/agent');
});

test('the key appears in nothing that the agent or the log gets, even when the provider sends it', async () => {
  const leak = (content: string): object[] =>
    [...content].map((letter) => delta({ content: letter, reasoning: letter }));
  await using upstream = await fakeProvider(
    events([
      ...leak(`key: ${KEY}!`),
      delta({ tool_calls: [{ index: 0, id: KEY, function: { name: 'read', arguments: JSON.stringify({ a: KEY }) } }] }),
      delta({ tool_calls: [{ index: 1, id: 'b', function: { name: KEY, arguments: '{}' } }] }),
      delta({}, 'tool_calls'),
      DONE,
    ]),
    json({ error: { message: `Bad header: Bearer ${KEY}` } }, 400),
    events([delta({ content: 'x' }), { error: { message: `Bad ${KEY}` } }]),
  );
  await using plane = await testPlane(upstream.provider);
  const answers = [await ask(plane.origin), await ask(plane.origin), await ask(plane.origin)];
  assert.match(answers[0]?.text ?? '', /^key: \*\*\*!/);
  assert.equal(answers[0]?.calls[0]?.arguments, '{"a":"***"}');
  assert.match(answers[1]?.chunks[0]?.error?.message ?? '', /Bad header: Bearer \*\*\*/);
  for (const { raw } of answers) assert.ok(!raw.includes(KEY));
  assert.ok(!JSON.stringify(plane.events).includes(KEY));
});

test('models: only the configured one', async () => {
  await using upstream = await fakeProvider();
  await using plane = await testPlane(upstream.provider);
  const list = (await (await fetch(`${plane.origin}/v1/models`)).json()) as { data: { id: string }[] };
  assert.deepEqual(
    list.data.map((model) => model.id),
    ['fake-1'],
  );
});

for (const [method, path] of [
  ['GET', '/v1/chat/completions'],
  ['POST', '/v1/models'],
  ['POST', '/v1/embeddings'],
  ['POST', '/v1/chat/completions/'],
  ['POST', '/v1/../v1/chat/completions%2f'],
  ['GET', '/'],
]) {
  test(`not served: ${method} ${path}`, async () => {
    await using upstream = await fakeProvider(saying('hi'));
    await using plane = await testPlane(upstream.provider);
    const response = await fetch(`${plane.origin}${path}`, { method: method ?? '' });
    assert.equal(response.status, 404);
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'not_found');
    assert.equal(upstream.received.length, 0);
  });
}

const BAD: [title: string, fields: object, message: RegExp][] = [
  ['no messages', { messages: [] }, /messages/],
  ['an unknown role', { messages: [{ role: 'root', content: 'x' }] }, /role/],
  ['a number as content', { messages: [{ role: 'user', content: 1 }] }, /content/],
  ['a tool without a name', { tools: [{ type: 'function', function: {} }] }, /tools/],
  ['a tool that the provider would run', { tools: [{ type: 'web_search' }] }, /tools/],
  ['a search by the provider', { web_search_options: {} }, /web_search_options/],
  ['legacy functions', { functions: [] }, /offer `tools`/],
  ['several choices', { n: 2 }, /n: /],
  ['models to fall back on', { models: ['other'] }, /operator chooses/],
  [
    'a picture that the provider would fetch',
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://evil.test/?secret' } }] }] },
    /data: URL/,
  ],
  [
    'the same, as a string',
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'http://e/' }] }] },
    /data: URL/,
  ],
  ['deep nesting', { metadata: JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`) }, /64 levels/],
];
for (const [title, fields, message] of BAD) {
  test(`not forwarded: ${title}`, async () => {
    await using upstream = await fakeProvider(saying('hi'));
    await using plane = await testPlane(upstream.provider);
    const answer = await ask(plane.origin, fields);
    assert.equal(answer.status, 400);
    assert.match(answer.chunks[0]?.error?.message ?? '', message);
    assert.equal(upstream.received.length, 0);
  });
}

test('a picture that is sent along is forwarded', async () => {
  await using upstream = await fakeProvider(saying('hi'));
  await using plane = await testPlane(upstream.provider);
  const content = [
    { type: 'text', text: 'see' },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
  ];
  assert.equal((await ask(plane.origin, { messages: [{ role: 'user', content }] })).status, 200);
  assert.deepEqual(upstream.received[0]?.body.messages[0]?.content, content);
});

for (const body of ['', '{', 'null', '[]', '"x"', Buffer.from([0x22, 0xff, 0x22])]) {
  test(`not forwarded: the body ${JSON.stringify(body.toString())}`, async () => {
    await using upstream = await fakeProvider(saying('hi'));
    await using plane = await testPlane(upstream.provider);
    const response = await fetch(`${plane.origin}/v1/chat/completions`, { method: 'POST', body });
    assert.equal(response.status, 400);
    assert.equal(upstream.received.length, 0);
  });
}

test('a body beyond the limit is a 413', async () => {
  await using upstream = await fakeProvider(saying('hi'));
  await using plane = await testPlane(upstream.provider);
  const { hostname, port } = new URL(plane.origin);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: inference.local\r\nContent-Length: ${MAX_REQUEST_BYTES + 1}\r\n\r\n`,
  );
  socket.write(Buffer.alloc(MAX_REQUEST_BYTES + 1, 0x20));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 413 /);
  socket.destroy();
  assert.equal(upstream.received.length, 0);
});

test('a body of just the limit is read', async () => {
  await using upstream = await fakeProvider(saying('hi'));
  await using plane = await testPlane(upstream.provider);
  const body = JSON.stringify({ messages: [USER], stream: true });
  const response = await fetch(`${plane.origin}/v1/chat/completions`, {
    method: 'POST',
    body: body.padEnd(MAX_REQUEST_BYTES),
  });
  assert.equal(response.status, 200);
  await response.text();
});

test('a refused request is a 400 with the reason and what would allow it, and goes nowhere', async () => {
  await using upstream = await fakeProvider(saying('hi'));
  await using plane = await testPlane(upstream.provider, () => deny('No models here.'));
  const answer = await ask(plane.origin);
  assert.equal(answer.status, 400);
  assert.equal(answer.chunks[0]?.error?.code, 'policy_denied');
  assert.match(answer.chunks[0]?.error?.message ?? '', /No models here\..*tools\.rules\[0\].*could allow it with/);
  assert.equal(upstream.received.length, 0);
  assert.deepEqual(summary(plane.events), ['decision inference.request fake-1 deny']);
});

for (const [title, fails] of [
  ['request', 'inference.request'],
  ['tool call', 'tool.call'],
] as const) {
  for (const stream of [true, false]) {
    test(`when the log cannot take the ${title}, nothing happens (stream: ${stream})`, async () => {
      const call = { id: 'a', type: 'function', function: { name: 'read', arguments: '{}' } };
      await using upstream = await fakeProvider(
        stream
          ? calling(['read', {}])
          : json({ choices: [{ message: { tool_calls: [call] }, finish_reason: 'tool_calls' }] }),
      );
      await using plane = await testPlane(upstream.provider, undefined, (event) => {
        if (event.type === 'action' && event.action.kind === fails) throw new Error('disk full');
      });
      const answer = await ask(plane.origin, { stream });
      assert.equal(answer.status, 500);
      assert.equal(answer.chunks[0]?.error?.code, 'governance_failure');
      assert.deepEqual(answer.calls, []);
      assert.equal(upstream.received.length, fails === 'tool.call' ? 1 : 0);
      assert.match(answer.chunks[0]?.error?.message ?? '', /operator's audit log.*Do not try again/);
      assert.ok(!answer.raw.includes('disk full'));
    });
  }
}

test('when the policy throws, nothing happens', async () => {
  await using upstream = await fakeProvider(calling(['read', {}]));
  await using plane = await testPlane(upstream.provider, (action) => {
    if (action.kind === 'tool.call') throw new Error('bug');
    return allow;
  });
  const answer = await ask(plane.origin);
  assert.equal(answer.status, 500);
  assert.deepEqual(answer.calls, []);
});

for (const [status, expected, pattern] of [
  [401, 401, /refused the operator's key.*check K outside/],
  [403, 403, /refused the operator's key/],
  [429, 429, /answered 429: slow down/],
  [500, 500, /answered 500: slow down/],
  [503, 503, /answered 503/],
  [302, 502, /final base URL/],
] as const) {
  test(`the provider answers ${status}`, async () => {
    await using upstream = await fakeProvider(json({ error: { message: 'slow\ndown' }, trace: 'INTERNAL' }, status));
    await using plane = await testPlane(upstream.provider);
    const answer = await ask(plane.origin);
    assert.equal(answer.status, expected);
    const message = answer.chunks[0]?.error?.message.replaceAll('slow down', 'slow down') ?? '';
    assert.match(message, pattern);
    assert.ok(!answer.raw.includes('INTERNAL'));
    assert.deepEqual(summary(plane.events).at(-1), 'outcome inference.request fake-1 failure');
  });
}

test('an unreachable provider is a 502 that says what to check', async () => {
  const upstream = await fakeProvider();
  await upstream[Symbol.asyncDispose]();
  await using plane = await testPlane(upstream.provider);
  const answer = await ask(plane.origin);
  assert.equal(answer.status, 502);
  assert.match(
    answer.chunks[0]?.error?.message ?? '',
    /fake at http:\/\/127\.0\.0\.1:\d+ could not be reached \(ECONNREFUSED\)/,
  );
});

test('when the agent goes away the provider’s answer is ended', { timeout: 10_000 }, async () => {
  const gone = Promise.withResolvers<void>();
  await using upstream = await fakeProvider((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify(delta({ content: 'first' }))}\n\n`);
    response.on('close', () => gone.resolve());
  });
  const recorded = Promise.withResolvers<void>();
  await using plane = await testPlane(upstream.provider, undefined, (event) => {
    if (event.type === 'action' && event.outcome?.detail === 'client_gone') recorded.resolve();
  });
  const controller = new AbortController();
  const response = await fetch(`${plane.origin}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ messages: [USER], stream: true }),
    signal: controller.signal,
  });
  await response.body?.getReader().read();
  controller.abort();
  await gone.promise;
  await recorded.promise;
});

test('only so many requests at once, and closing ends them', async () => {
  const all = Promise.withResolvers<void>();
  let open = 0;
  await using upstream = await fakeProvider(() => {
    open += 1;
    if (open === MAX_CONCURRENT_REQUESTS) all.resolve();
  });
  await using plane = await testPlane(upstream.provider);
  const waiting = Array.from({ length: MAX_CONCURRENT_REQUESTS }, () => ask(plane.origin));
  await all.promise;
  assert.equal((await ask(plane.origin)).status, 429);
  await plane.plane.close();
  const answers = await Promise.all(waiting);
  assert.ok(answers.every((answer) => answer.status >= 400));
});

test('when closing is over the outcome of what it ended is on record', async (t) => {
  // However soon the connections are gone.
  t.mock.method(Upstream.prototype, 'close', async () => {});
  await using upstream = await fakeProvider((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify(delta({ content: 'first' }))}\n\n`);
  });
  await using plane = await testPlane(upstream.provider);
  const body = JSON.stringify({ messages: [USER], stream: true });
  const response = await fetch(`${plane.origin}/v1/chat/completions`, { method: 'POST', body });
  await plane.plane.close();
  assert.deepEqual(summary(plane.events), [
    'decision inference.request fake-1 allow',
    'outcome inference.request fake-1 failure',
  ]);
  await response.text();
});

test('closing does not wait for the rest of a body', { timeout: 10_000 }, async () => {
  await using upstream = await fakeProvider(saying('hi'));
  await using plane = await testPlane(upstream.provider);
  const { hostname, port } = new URL(plane.origin);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.write(
    'POST /v1/chat/completions HTTP/1.1\r\nHost: inference.local\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n{',
  );
  // Node says 100 Continue as it hands the request over.
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 100 /);
  const closed = once(socket, 'close');
  await plane.plane.close();
  await closed;
  assert.equal(upstream.received.length, 0);
});

test('an answer without a key works where the provider needs none', async () => {
  await using upstream = await fakeProvider(saying('hi'));
  const { name, baseUrl, model } = upstream.provider;
  await using plane = await testPlane(createProvider({ name, baseUrl, model }));
  assert.equal((await ask(plane.origin)).text, 'hi');
  assert.equal(upstream.received[0]?.headers.authorization, undefined);
});

test('an unparsable traceparent is no session', async () => {
  await using upstream = await fakeProvider(saying('hi'));
  await using plane = await testPlane(upstream.provider, denying());
  await ask(plane.origin, {}, { traceparent: '00-zz-1-1' });
  const [event] = plane.events;
  assert.ok(event?.type === 'action');
  assert.equal(event.action.subject.session, undefined);
  assert.equal(parse(200, '').text, '');
});
