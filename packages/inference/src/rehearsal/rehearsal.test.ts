import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Asked, ask, denying, testPlane, tool } from '../testing/harness.ts';
import { startRehearsal } from './server.ts';
import type { Story } from './story.ts';

const STORY: Story = {
  name: 'test',
  steps: [
    { say: 'First I read the notes.', calls: [{ tool: 'read', arguments: { path: 'notes.md' } }] },
    { calls: [{ tool: 'plugins', arguments: { action: 'disable', id: 'guard' } }] },
    {
      say: 'Then two at once.',
      calls: [
        { tool: 'write', arguments: { path: 'summary.md', content: 'ok' } },
        { tool: 'plugins', arguments: { action: 'list' } },
      ],
    },
    { calls: [{ tool: 'read', arguments: { path: 'summary.md' } }] },
  ],
  closing: (transcript) => {
    const refusals = transcript.filter(
      (message) => message.role === 'tool' && message.text.startsWith('OpenShell refused'),
    );
    return `Done. I was refused ${refusals.length} times: ${refusals.at(0)?.text.split('\n')[1]}`;
  },
};
const TOOLS = [tool('read'), tool('write'), tool('plugins')];
const CONTEXT = { role: 'user', content: '<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nnow\n' };

/** Asks, runs what it is given, asks again, like OpenClaw: with a message of its own after the real ones. */
async function agentLoop(
  origin: string,
  prompt: string,
  stream: boolean,
  history: object[] = [],
): Promise<[string[], string]> {
  const messages: object[] = [...history, { role: 'user', content: prompt }];
  const ran: string[] = [];
  for (let round = 1; ; round += 1) {
    assert.ok(round < 20, 'the story does not end');
    const answer: Asked = await ask(origin, { messages: [...messages, CONTEXT], tools: TOOLS, stream });
    assert.equal(answer.status, 200, answer.raw);
    const calls = answer.calls.map(({ id, ...spec }) => ({ id, type: 'function', function: spec }));
    messages.push({ role: 'assistant', content: answer.text, ...(calls.length > 0 && { tool_calls: calls }) });
    if (calls.length === 0) return [ran, answer.text];
    for (const { id, function: spec } of calls) {
      ran.push(`${spec.name} ${spec.arguments}`);
      messages.push({ role: 'tool', tool_call_id: id, content: '{"status":"ok"}' });
    }
  }
}

for (const stream of [true, false]) {
  test(`a story goes through the plane to its end (stream: ${stream})`, async () => {
    const rehearsal = await startRehearsal(STORY);
    await using plane = await testPlane(rehearsal.provider, denying('plugins'));
    try {
      for (const prompt of ['tell me', 'tell me again']) {
        const [ran, closing] = await agentLoop(plane.origin, prompt, stream);
        assert.deepEqual(ran, [
          'read {"path":"notes.md"}',
          'write {"path":"summary.md","content":"ok"}',
          'read {"path":"summary.md"}',
        ]);
        assert.equal(closing, 'Done. I was refused 2 times: Reason: Denied by the test.');
      }
    } finally {
      await rehearsal.close();
    }
    const outcomes = plane.events.filter(
      (event) => event.type === 'action' && event.action.kind === 'tool.call' && event.outcome,
    );
    assert.equal(outcomes.length, 6);
    assert.ok(!plane.events.some((event) => event.type === 'finding'));
  });
}

test('a request sent again gets the same step', async () => {
  const rehearsal = await startRehearsal({
    name: 's',
    steps: [
      { say: 'one', calls: [] },
      { say: 'two', calls: [] },
    ],
    closing: 'end',
  });
  await using plane = await testPlane(rehearsal.provider);
  try {
    const messages = [{ role: 'user', content: 'go' }];
    assert.equal((await ask(plane.origin, { messages })).text, 'one');
    assert.equal((await ask(plane.origin, { messages })).text, 'one');
    const more = [...messages, { role: 'assistant', content: 'one' }];
    assert.equal((await ask(plane.origin, { messages: more })).text, 'two');
    assert.equal((await ask(plane.origin, { messages: [...more, { role: 'assistant', content: 'two' }] })).text, 'end');
    assert.equal((await ask(plane.origin, { messages: [...more, { role: 'user', content: 'go' }] })).text, 'one');
  } finally {
    await rehearsal.close();
  }
});

test('the provider wants its key and calls itself scripted', async () => {
  const rehearsal = await startRehearsal(STORY);
  try {
    const { baseUrl, apiKey, model, scripted } = rehearsal.provider;
    assert.ok(scripted);
    assert.equal(model, 'rehearsal');
    assert.equal((await fetch(`${baseUrl}/models`)).status, 401);
    assert.equal((await fetch(`${baseUrl}/models`, { headers: { authorization: 'Bearer wrong' } })).status, 401);
    const response = await fetch(`${baseUrl}/models`, { headers: { authorization: `Bearer ${apiKey}` } });
    assert.match(await response.text(), /"id":"rehearsal"/);
  } finally {
    await rehearsal.close();
  }
});

test('it streams in many pieces', async () => {
  const rehearsal = await startRehearsal(STORY);
  try {
    const response = await fetch(`${rehearsal.provider.baseUrl}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${rehearsal.provider.apiKey}` },
      body: JSON.stringify({
        messages: [{ role: 'user', content: 'x' }],
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    const events = (await response.text()).split('\n\n');
    assert.ok(events.filter((event) => event.includes('"content"')).length > 2);
    assert.ok(events.filter((event) => event.includes('"tool_calls"')).length > 2);
    assert.ok(events.some((event) => event.includes('"total_tokens"')));
    assert.equal(events.at(-2), 'data: [DONE]');
  } finally {
    await rehearsal.close();
  }
});
