import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ask,
  callChunks,
  calling,
  DONE,
  delta,
  denying,
  events,
  fakeProvider,
  saying,
  summary,
  testPlane,
} from './testing/harness.ts';

const HOSTILE: [title: string, name: string, args: string, rule: string][] = [
  ['a tool that was not offered', 'exec', '{}', 'gate:not-offered'],
  ['another spelling of an offered name', 'Read', '{}', 'gate:not-offered'],
  ['an offered name with a prefix', 'functions.read', '{}', 'gate:not-offered'],
  ['an offered name with white space', ' read', '{}', 'gate:not-offered'],
  ['no name', '', '{}', 'gate:malformed'],
  ['arguments that are not JSON', 'read', '{"path":', 'gate:malformed'],
  ['arguments that are not an object', 'read', '["a"]', 'gate:malformed'],
  ['arguments nested too deep', 'read', `{"a":${'['.repeat(70)}${']'.repeat(70)}}`, 'gate:malformed'],
  ['arguments that are too large', 'read', JSON.stringify({ a: 'x'.repeat(1024 * 1024) }), 'gate:too-large'],
];
for (const [title, name, args, rule] of HOSTILE) {
  test(`refused without asking the policy: ${title}`, async () => {
    await using upstream = await fakeProvider(calling([name, args]), saying('sorry'));
    await using plane = await testPlane(upstream.provider);
    const answer = await ask(plane.origin);
    assert.deepEqual(answer.calls, []);
    assert.equal(answer.text, 'sorry');
    const event = plane.events.find((item) => item.type === 'action' && item.action.kind === 'tool.call');
    assert.ok(event?.type === 'action');
    assert.equal(event.decision.rule.id, rule);
    // What goes back to the provider must be something that a provider accepts.
    const sent = upstream.received[1]?.body.messages[1]?.tool_calls?.[0]?.function;
    assert.match(sent?.name ?? '', /^[\w-]{1,64}$/);
    assert.equal(typeof JSON.parse(sent?.arguments ?? ''), 'object');
  });
}

test('no arguments at all are an empty object', async () => {
  await using upstream = await fakeProvider(calling(['read', '']));
  await using plane = await testPlane(upstream.provider);
  assert.equal((await ask(plane.origin)).calls[0]?.arguments, '{}');
});

test('what is released is what was decided: repeated keys are gone', async () => {
  await using upstream = await fakeProvider(calling(['read', '{"path":"evil","path":"good"}']));
  await using plane = await testPlane(upstream.provider);
  const answer = await ask(plane.origin);
  assert.equal(answer.calls[0]?.arguments, '{"path":"good"}');
});

test('a superseded function_call is refused', async () => {
  await using upstream = await fakeProvider(
    events([
      delta({ function_call: { name: 'read', arguments: '{"path":' } }),
      delta({ function_call: { arguments: '"a"}' } }, 'function_call'),
      DONE,
    ]),
    saying('sorry'),
  );
  await using plane = await testPlane(upstream.provider);
  const answer = await ask(plane.origin);
  assert.equal(answer.text, 'sorry');
  assert.ok(!answer.raw.includes('function_call'));
});

test('calls with the same id or index are told apart, and released under different ids', async () => {
  const call = (id: string, name: string): object => ({ index: 0, id, function: { name, arguments: '{}' } });
  await using upstream = await fakeProvider(
    events([
      delta({ tool_calls: [call('a', 'read')] }),
      delta({ tool_calls: [call('b', 'plugins')] }),
      delta({ tool_calls: [{ index: 1, id: 'a', function: { name: 'write', arguments: '{}' } }] }),
      delta({}, 'tool_calls'),
      DONE,
    ]),
  );
  await using plane = await testPlane(upstream.provider, denying('plugins'));
  const answer = await ask(plane.origin);
  assert.deepEqual(
    answer.calls.map((item) => item.name),
    ['read', 'write'],
  );
  assert.equal(new Set(answer.calls.map((item) => item.id)).size, 2);
});

test('other choices and unknown fields are dropped', async () => {
  const evil = {
    content: 'HIDDEN',
    tool_calls: [{ index: 0, id: 'x', function: { name: 'plugins', arguments: '{}' } }],
  };
  await using upstream = await fakeProvider(
    events([
      { choices: [{ index: 1, delta: evil, finish_reason: null }] },
      { ...delta({ content: 'fine', toolCalls: [evil], audio: evil }), extra: evil },
      delta({}, 'stop'),
      DONE,
    ]),
  );
  await using plane = await testPlane(upstream.provider);
  const answer = await ask(plane.origin);
  assert.equal(answer.text, 'fine');
  assert.ok(!answer.raw.includes('HIDDEN') && !answer.raw.includes('plugins'));
});

for (const finish of ['length', 'content_filter']) {
  test(`calls of an answer that ended by ${finish} are not released`, async () => {
    await using upstream = await fakeProvider(events([...callChunks(0, 'read', {}), delta({}, finish), DONE]));
    await using plane = await testPlane(upstream.provider);
    const answer = await ask(plane.origin);
    assert.deepEqual(answer.calls, []);
    assert.equal(answer.finish, finish);
    assert.equal(upstream.received.length, 1);
  });
}

const BROKEN: [title: string, chunks: unknown[]][] = [
  ['stops without an end', [delta({ content: 'Hi' }), ...callChunks(0, 'read', {})]],
  ['sends something that is not JSON', [delta({ content: 'Hi' }), ...callChunks(0, 'read', {}), '{"choices":[']],
  ['reports an error', [delta({ content: 'Hi' }), ...callChunks(0, 'read', {}), { error: { message: 'overloaded' } }]],
];
for (const [title, chunks] of BROKEN) {
  test(`fails closed when the provider ${title}`, async () => {
    await using upstream = await fakeProvider(events(chunks));
    await using plane = await testPlane(upstream.provider);
    const answer = await ask(plane.origin);
    assert.equal(answer.text, 'Hi');
    assert.deepEqual(answer.calls, []);
    assert.equal(answer.finish, undefined);
    assert.match(answer.chunks.at(-1)?.error?.message ?? '', /^The model provider /);
    assert.ok(!answer.raw.includes('[DONE]'));
    assert.ok(summary(plane.events).includes('outcome inference.request fake-1 failure'));
  });
}

test('a stream without [DONE] but with a finish reason is complete', async () => {
  await using upstream = await fakeProvider(events([...callChunks(0, 'read', {}), delta({}, 'tool_calls')]));
  await using plane = await testPlane(upstream.provider);
  assert.equal((await ask(plane.origin)).calls.length, 1);
});

test('too many calls in one answer fail it', async () => {
  await using upstream = await fakeProvider(
    calling(...Array.from({ length: 129 }, () => ['read', {}] as [string, unknown])),
  );
  await using plane = await testPlane(upstream.provider);
  const answer = await ask(plane.origin);
  assert.equal(answer.status, 502);
  assert.deepEqual(answer.calls, []);
});
