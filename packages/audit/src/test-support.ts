import { createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Action, Decision } from '@nemoclaw/policy';
import type { ActionEvent } from './event.ts';
import { AuditLog } from './log.ts';

/** A private directory that goes with the test. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'audit-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The Ed25519 key of 32 zero bytes, so that a test and its child processes have the same one. */
export const key: KeyObject = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32)]),
  format: 'der',
  type: 'pkcs8',
});

/** A clock that moves one second at each look. */
export function clock(): () => number {
  let time = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
  return () => {
    time += 1000;
    return time;
  };
}

export function openLog(directory: string, sandbox = 'demo'): AuditLog {
  return AuditLog.open({ directory, sandbox, signingKey: key, now: clock() });
}

export const allowed: Decision = {
  effect: 'allow',
  rule: { id: 'network_policies.api.endpoints[0]', name: 'api', line: 12 },
  reason: 'allowed by api',
  enforced: true,
};

export const denied: Decision = {
  effect: 'deny',
  rule: { id: 'default:network_policies', name: 'default' },
  reason: 'no rule allows it',
  allowWith: '- host: api.example.com',
  enforced: true,
};

export const subject = {
  sandbox: 'demo',
  session: 'turn-1',
  processes: [
    { pid: 58, executable: '/usr/bin/curl', ancestors: ['/bin/bash', '/usr/bin/node'], commandLine: ['curl', 'x'] },
  ],
};

export const getRequest: Action = {
  kind: 'http.request',
  subject,
  scheme: 'https',
  host: 'api.example.com',
  literal: false,
  port: 443,
  method: 'GET',
  path: '/v1/items',
  query: [['api_key', 'a-query-value']],
};

export function actionEvent(action: Action, more: Partial<ActionEvent> = {}): ActionEvent {
  return {
    type: 'action',
    plane: 'egress',
    phase: 'decision',
    correlation: '1.1',
    action,
    decision: allowed,
    ...more,
  };
}
