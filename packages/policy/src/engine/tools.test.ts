import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../compile.ts';
import { decide } from '../decide.ts';
import { parsePolicy } from '../parse.ts';
import { call, effectOf, policyOf, readRepositoryFile } from '../testing/actions.ts';

test('no section allows, a section without default denies', () => {
  assert.equal(effectOf('', call('anything')), 'allow');
  assert.equal(effectOf('tools: {}', call('anything')), 'deny');
  assert.equal(effectOf('tools: { default: ask }', call('anything')), 'ask');
});

const rules = `tools:
  default: allow
  rules:
    - { tool: "*", effect: allow }
    - { tool: "mem*", effect: ask }
    - { tool: "memory_*", effect: deny, reason: private }
    - { tool: memory_get, effect: allow }
    - { tool: memory_put, effect: deny }
`;

test('deny outweighs ask outweighs allow; the most specific rule is named', () => {
  const policy = policyOf(rules);
  const decided = (tool: string) => {
    const { effect, rule } = decide(policy, call(tool));
    return [effect, rule.id];
  };
  assert.deepEqual(decided('read'), ['allow', 'tools.rules[0]']);
  assert.deepEqual(decided('memo'), ['ask', 'tools.rules[1]']);
  assert.deepEqual(decided('memory_get'), ['deny', 'tools.rules[2]']);
  assert.deepEqual(decided('memory_put'), ['deny', 'tools.rules[4]']);
});

test('a variant of a restricted name is restricted, a variant of an allowed one is not allowed', () => {
  for (const variant of ['MEMORY_PUT', 'Memory_Put', ' memory_put', 'memory_put\n', 'ｍemory_put']) {
    assert.equal(effectOf(rules, call(variant)), 'deny', JSON.stringify(variant));
  }
  const strict = 'tools: { rules: [{ tool: read, effect: allow }] }';
  assert.equal(effectOf(strict, call('read')), 'allow');
  for (const variant of ['READ', 'Read', ' read', 'read '])
    assert.equal(effectOf(strict, call(variant)), 'deny', variant);
});

test('the reason of the rule is told; what would permit is offered only where a rule could', () => {
  const denied = decide(policyOf(rules), call('memory_x'));
  assert.equal(denied.reason, 'the policy denies the tool "memory_x": private');
  assert.equal(denied.allowWith, undefined);
  const missing = decide(policyOf('tools: {}'), call('web_fetch'));
  assert.equal(missing.allowWith, 'tools:\n  rules:\n    - tool: web_fetch\n      effect: allow\n');
  for (const tool of ['*', '', 'a\nb', '{x}', 'x'.repeat(5000)]) {
    assert.equal(decide(policyOf('tools: {}'), call(tool)).allowWith, undefined, tool);
  }
});

test('a wrapped call is decided on the tool it names, not on its wrapper', () => {
  const policy = policyOf('tools: { rules: [{ tool: tool_call, effect: allow }, { tool: read, effect: allow }] }');
  assert.equal(decide(policy, { ...call('gateway'), via: 'tool_call' }).effect, 'deny');
  assert.equal(decide(policy, { ...call('read'), via: 'forbidden_wrapper' }).effect, 'allow');
});

test('the OpenClaw policy keeps the tools that could undo it', () => {
  const policy = compile(parsePolicy(readRepositoryFile('policies/openclaw.yaml'), 'openclaw.yaml'), {
    workdir: '/project',
  });
  for (const tool of [
    'plugins',
    'gateway',
    'openclaw',
    'secrets',
    'nodes',
    'sessions_spawn',
    'sessions_send',
    'message',
    'automations',
    'terminal',
  ]) {
    const { effect, rule, reason } = decide(policy, call(tool));
    assert.equal(effect, 'deny', tool);
    assert.match(rule.id, /^tools\.rules/);
    assert.match(reason, /": ./);
  }
  for (const tool of ['exec', 'read', 'write', 'memory_search', 'tool_call', 'web_fetch']) {
    assert.equal(decide(policy, call(tool)).effect, 'allow', tool);
  }
  for (const tool of ['browser', 'file_write', 'sessions', 'canvas'])
    assert.equal(decide(policy, call(tool)).effect, 'deny', tool);
});
