import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from './ledger.ts';
import { allow } from './testing/harness.ts';

test('a failure of the log or the policy is a closed error that keeps the cause to itself', () => {
  const cause = new Error('disk full');
  const fail = (): never => {
    throw cause;
  };
  const noLog = new Ledger(() => allow, { append: fail, nextCorrelation: fail });
  const noPolicy = new Ledger(fail, { append() {}, nextCorrelation: () => '1' });
  const event = { type: 'finding', title: 't', severity: 'low', message: 'm' } as const;
  const action = { kind: 'file.read', subject: { sandbox: 's' }, path: '/a' } as const;
  for (const run of [() => noLog.append(event), () => noLog.nextCorrelation(), () => noPolicy.decide(action)]) {
    assert.throws(run, (error: Error) => error.cause === cause && !error.message.includes('disk full'));
  }
});
