import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unwrap } from './unwrap.ts';

const NONE = new Map<string, Record<string, unknown>>();

test('a plain tool is itself', () => {
  assert.deepEqual(unwrap('read', { path: 'a' }, NONE), { tool: 'read', arguments: { path: 'a' } });
});

test('tool_call is the tool that its id names', () => {
  assert.deepEqual(unwrap('tool_call', { id: 'web_search', args: { query: 'q' } }, NONE), {
    tool: 'web_search',
    via: 'tool_call',
    arguments: { query: 'q' },
  });
  assert.deepEqual(unwrap('tool_call', { id: 'mcp:calendar:create' }, NONE), {
    tool: 'create',
    via: 'tool_call',
    arguments: {},
  });
});

test('wrapped in itself it is still found, a few levels deep', () => {
  const wrap = (levels: number): Record<string, unknown> =>
    levels === 0 ? { id: 'plugins', args: { action: 'disable' } } : { id: 'tool_call', args: wrap(levels - 1) };
  assert.deepEqual(unwrap('tool_call', wrap(2), NONE), {
    tool: 'plugins',
    via: 'tool_call',
    arguments: { action: 'disable' },
  });
  assert.ok('problem' in unwrap('tool_call', wrap(4), NONE));
});

for (const args of [
  {},
  { id: 1 },
  { id: '' },
  { id: ' plugins' },
  { id: 'plugins\n' },
  { id: 'openclaw:core' },
  { id: 'openclaw:a:b:plugins' },
  { id: 'openclaw:core:' },
  { name: 'plugins' },
  { toolId: 'plugins' },
  // The agent's catalogue decides here which of two selectors counts.
  { id: 'read', name: 'plugins' },
  { id: 'read', toolId: 'plugins', args: {} },
  { args: { id: 'plugins' } },
  { id: 'read', path: 'flattened' },
  { id: 'read', 'args.path': 'dotted' },
  { id: 'read', args: {}, input: { path: 'x' } },
  { id: 'read', args: [] },
  { id: 'read', args: null },
  { id: 'read', args: '{"path":"a"}' },
]) {
  test(`refused rather than guessed: ${JSON.stringify(args)}`, () => {
    assert.ok('problem' in unwrap('tool_call', args, NONE));
  });
}

test('code that calls tools is refused, wrapped or not', () => {
  assert.ok('problem' in unwrap('tool_search_code', { code: '1' }, NONE));
  assert.ok('problem' in unwrap('tool_call', { id: 'tool_search_code', args: {} }, NONE));
  const codeMode = new Map([['exec', { code: {}, command: {} }]]);
  assert.ok('problem' in unwrap('exec', { command: 'x' }, codeMode));
  assert.ok(!('problem' in unwrap('exec', { command: 'x' }, new Map([['exec', { command: {} }]]))));
});
