import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_RELEASED_CALLS, MAX_REMEMBERED_ANSWERS, MAX_REMEMBERED_CHARS } from '../limits.ts';
import { allow } from '../testing/harness.ts';
import { CallMemory, outcomeEvent, type ReleasedCall } from './memory.ts';

function released(): ReleasedCall {
  const action = { kind: 'tool.call', subject: { sandbox: 's' }, tool: 'read', callId: 'x' } as const;
  return { correlation: 'c1', parent: 'c0', action, decision: allow, releasedAt: 1000, reported: false };
}

function status(content: unknown): string | undefined {
  return outcomeEvent(released(), { role: 'tool', content: JSON.stringify(content) }, 1500).outcome?.status;
}

test('an outcome is what the result itself says, else unknown', () => {
  for (const value of [{ status: 'error' }, { status: 'FAILED' }, { ok: false }, { isError: true }, { exitCode: 2 }]) {
    assert.equal(status(value), 'failure', JSON.stringify(value));
  }
  for (const value of [{ status: 'ok' }, { status: 'completed' }, { success: true }, { exitCode: 0 }]) {
    assert.equal(status(value), 'success', JSON.stringify(value));
  }
  for (const value of [{}, [], 'error', null, { status: 'running' }, { message: 'error' }]) {
    assert.equal(status(value), 'unknown', JSON.stringify(value));
  }
  const event = outcomeEvent(released(), { role: 'tool', content: 'plain ä' }, 1500);
  assert.deepEqual(event.outcome, {
    status: 'unknown',
    detail: 'the agent reported a result of 8 bytes',
    bytesOut: 8,
    durationMs: 500,
  });
});

test('what is remembered is bounded, the oldest goes first', () => {
  const memory = new CallMemory();
  for (let id = 0; id <= MAX_RELEASED_CALLS; id += 1) memory.release(String(id), released());
  assert.equal(memory.find('0'), undefined);
  assert.ok(memory.find('1'));

  const part = (text: string) => ({
    earlier: [],
    calls: [{ id: 'r', type: 'function', function: { name: 'plugins', arguments: '{}' } }],
    results: [{ role: 'tool' as const, tool_call_id: 'r', content: text }],
  });
  const restored = (id: string): number =>
    memory.restore([{ role: 'assistant', tool_calls: [{ id, function: { name: 'read', arguments: '{}' } }] }]).length;
  for (let id = 0; id <= MAX_REMEMBERED_ANSWERS; id += 1) memory.remember(`a${id}`, part(''));
  assert.equal(restored('a0'), 1);
  assert.equal(restored('a1'), 2);
  memory.remember('big', part('x'.repeat(MAX_REMEMBERED_CHARS - 1000)));
  assert.equal(restored('big'), 2);
  assert.equal(restored('a1'), 1);
  memory.remember('too big', part('x'.repeat(MAX_REMEMBERED_CHARS)));
  assert.equal(restored('too big'), 1);
});

test('a stranger is new once', () => {
  const memory = new CallMemory();
  assert.ok(memory.noteStranger('a'));
  assert.ok(!memory.noteStranger('a'));
});
