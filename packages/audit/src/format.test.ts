import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from './event.ts';
import { formatRecord } from './format.ts';
import { toRecord } from './ocsf/map.ts';
import type { LogEntry } from './ocsf/record.ts';
import { seal } from './proof/chain.ts';
import { summarise } from './summary.ts';
import { actionEvent, denied, getRequest, subject } from './test-support.ts';

function entries(...events: Event[]): LogEntry[] {
  return events.map((event, index) => {
    const stamp = { sandbox: 'demo', origin: 'o', chain: 'c', sequence: index + 1, time: 1_700_000_000_000 + index };
    return { sequence: index + 1, record: seal(toRecord(event, stamp), 'c', 'k', undefined).record };
  });
}

function text(event: Event, color = false): string {
  return entries(event)
    .map(({ record }) => formatRecord(record, { color }))
    .join('');
}

test('a line says when, where, what was decided, what, who and why', () => {
  assert.equal(
    text(actionEvent(getRequest)),
    '2023-11-14T22:13:20.000Z egress    allow   http.request GET https://api.example.com/v1/items /usr/bin/curl(58)' +
      ' [rule network_policies.api.endpoints[0]; allowed by api]',
  );
  assert.match(text(actionEvent(getRequest, { decision: denied })), / deny .*\[rule default:network_policies; no rule/);
  assert.match(text(actionEvent(getRequest, { decision: { ...denied, enforced: false } })), / \(deny\) /);
  const outcome = { status: 'success', httpStatus: 200, detail: 'OK' } as const;
  assert.match(text(actionEvent(getRequest, { phase: 'outcome', outcome })), / done .*\[status 200; OK\]$/);
  assert.match(
    text({ type: 'lifecycle', activity: 'stop', message: 'over', exitCode: 3 }),
    / runtime .*over \[exit 3\]$/,
  );
  assert.match(text({ type: 'finding', title: 'T', severity: 'high', message: 'm' }), / high .*finding T \[m\]$/);
});

test('colours are there only when asked for', () => {
  assert.equal(text(actionEvent(getRequest)).includes('\u001b'), false);
  assert.equal(text(actionEvent(getRequest, { decision: denied }), true).includes('\u001b[31mdeny'), true);
});

test('decision and outcome of one action become one row', () => {
  const connect = { kind: 'net.connect', subject, host: 'api.example.com', literal: false, port: 443 } as const;
  const rows = summarise(
    entries(
      { type: 'lifecycle', activity: 'start', message: 'started' },
      actionEvent(connect, { correlation: '1.1' }),
      actionEvent(getRequest, { correlation: '1.2', parent: '1.1' }),
      actionEvent({ ...getRequest, method: 'POST' } as typeof getRequest, {
        correlation: '1.3',
        parent: '1.1',
        decision: denied,
      }),
      actionEvent(getRequest, {
        correlation: '1.2',
        parent: '1.1',
        phase: 'outcome',
        outcome: { status: 'success', httpStatus: 200 },
      }),
      actionEvent(connect, { correlation: '1.1', phase: 'outcome', outcome: { status: 'failure' } }),
    ),
  );
  assert.deepEqual(
    rows.map((row) => [row.plane, row.action, row.object, row.decision, row.rule, row.outcome, row.parent]),
    [
      ['runtime', 'lifecycle.start', 'started', undefined, undefined, '', undefined],
      [
        'egress',
        'net.connect',
        'api.example.com:443',
        'allow',
        'network_policies.api.endpoints[0]',
        'failed',
        undefined,
      ],
      [
        'egress',
        'http.request',
        'GET https://api.example.com/v1/items',
        'allow',
        'network_policies.api.endpoints[0]',
        'done (200)',
        '1.1',
      ],
      [
        'egress',
        'http.request',
        'POST https://api.example.com/v1/items',
        'deny',
        'default:network_policies',
        'blocked',
        '1.1',
      ],
    ],
  );
  assert.equal(rows[2]?.process, '/usr/bin/curl');
  assert.equal(rows[2]?.time, 1_700_000_000_002);
});

test('an outcome without its decision, and two decisions under one correlation, lose nothing', () => {
  const outcome = actionEvent(getRequest, { phase: 'outcome', outcome: { status: 'success' } });
  assert.equal(summarise(entries(outcome)).length, 1);
  assert.equal(summarise(entries(actionEvent(getRequest), actionEvent(getRequest), outcome)).length, 2);
});
