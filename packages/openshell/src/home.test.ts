import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ephemeralName, nemoclawHome, sandboxName, sandboxPaths } from './home.ts';

test('names: what is accepted is safe in a path, a host name and a log', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      let name: string;
      try {
        name = sandboxName(text);
      } catch {
        return;
      }
      assert.match(name, /^[a-z][a-z0-9-]{0,39}$/);
      assert.ok(sandboxPaths('/h', name).audit.startsWith('/h/audit/'));
    }),
  );
  assert.equal(sandboxName(ephemeralName()).length, 10);
});

test('names: a refusal suggests one that would do', () => {
  assert.throws(() => sandboxName('My Agent!'), /try `my-agent`/);
  assert.throws(() => sandboxName('../x'), /try `x`/);
  assert.throws(
    () => sandboxName('!!'),
    (error: Error) => !error.message.includes('try'),
  );
  assert.throws(() => sandboxName('a'.repeat(41)), /40 characters/);
});

test('NEMOCLAW_HOME moves everything', () => {
  assert.equal(nemoclawHome({ NEMOCLAW_HOME: '/x/../y' }), '/y');
  assert.match(nemoclawHome({}), /\/\.nemoclaw$/);
});
