import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Action, ActionKind, FileOperation } from '@nemoclaw/policy';
import type { ActionEvent, Event } from '../event.ts';
import { OTHER_PROCESSES } from '../limits.ts';
import { actionEvent, allowed, denied, getRequest, subject } from '../test-support.ts';
import { toRecord } from './map.ts';
import type { RecordBody } from './record.ts';

const STAMP = { sandbox: 'demo', origin: 'nemoclaw.audit/demo', chain: 'c', sequence: 7, time: 1_700_000_000_000 };
const record = (event: Event): RecordBody => toRecord(event, STAMP);

/** A value as JSON has it, so that what the log will hold is what is looked at. */
function json(value: unknown): Record<string, unknown> {
  return JSON.parse(JSON.stringify(value));
}

const ACTIONS: Readonly<Record<ActionKind, Action>> = {
  'process.exec': { kind: 'process.exec', subject, path: '/usr/bin/git', argv: ['git', 'status'], cwd: '/sandbox' },
  'file.read': { kind: 'file.read', subject, path: '/etc/passwd' },
  'file.write': { kind: 'file.write', subject, path: '/sandbox/a', operation: 'create' },
  'dns.query': { kind: 'dns.query', subject, name: 'api.example.com', type: 'A' },
  'net.connect': { kind: 'net.connect', subject, host: 'api.example.com', literal: false, port: 443 },
  'net.datagram': { kind: 'net.datagram', subject, address: '2001:db8::1', port: 123, protocol: 'udp' },
  'http.request': getRequest,
  'inference.request': {
    kind: 'inference.request',
    subject,
    provider: 'openai',
    model: 'gpt-x',
    requestedModel: 'default',
    streaming: true,
    tools: ['read', 'exec'],
  },
  'tool.call': {
    kind: 'tool.call',
    subject,
    tool: 'exec',
    via: 'tool_call',
    callId: 'c1',
    arguments: { command: 'ls' },
  },
};

/** Class, activity while allowed, and the attributes that OCSF requires of the class beyond the base event's. */
const CLASSES: Readonly<Record<ActionKind, readonly [type: number, required: readonly string[]]>> = {
  'process.exec': [100701, ['device', 'actor', 'process']],
  'file.read': [100102, ['device', 'actor', 'file']],
  'file.write': [100101, ['device', 'actor', 'file']],
  'dns.query': [400301, ['src_endpoint', 'query']],
  'net.connect': [400101, ['src_endpoint', 'dst_endpoint', 'connection_info']],
  'net.datagram': [400106, ['src_endpoint', 'dst_endpoint', 'connection_info']],
  'http.request': [400203, ['src_endpoint', 'dst_endpoint', 'http_request']],
  'inference.request': [600301, ['actor', 'api', 'src_endpoint', 'ai_model', 'message_context']],
  'tool.call': [600399, ['actor', 'api', 'src_endpoint', 'message_context']],
};

const BASE = [
  ...['class_uid', 'class_name', 'category_uid', 'category_name', 'activity_id', 'activity_name', 'type_uid'],
  ...['type_name', 'time', 'severity_id', 'severity', 'status_id', 'status', 'message', 'metadata', 'unmapped'],
];

function assertBase(found: Record<string, unknown>): void {
  for (const name of BASE) assert.ok(found[name] !== undefined && found[name] !== '', name);
  assert.equal(found.type_uid, Number(found.class_uid) * 100 + Number(found.activity_id));
  assert.equal(found.category_uid, Math.floor(Number(found.class_uid) / 1000));
  assert.equal(found.time, STAMP.time);
  const metadata = json(found.metadata);
  assert.equal(metadata.version, '1.9.0');
  assert.equal(metadata.sequence, 7);
  assert.equal(metadata.uid, 'c/7');
  assert.equal(metadata.log_name, 'nemoclaw.audit/demo');
  assert.equal(metadata.logged_time, STAMP.time);
  assert.deepEqual([json(metadata.product).name, json(metadata.product).vendor_name], ['OpenShell', 'NemoClaw']);
  assert.ok(Array.isArray(metadata.profiles) && metadata.profiles.includes('record_integrity'));
}

test('every kind of action has its class, with what the class requires', () => {
  for (const [kind, action] of Object.entries(ACTIONS)) {
    const [type, required] = CLASSES[action.kind];
    const found = json(record(actionEvent(action)));
    assertBase(found);
    assert.equal(found.type_uid, type, kind);
    for (const name of required) assert.ok(found[name] !== undefined, `${kind}: ${name}`);
    assert.equal(json(found.metadata).correlation_uid, '1.1');
    const details = json(json(found.unmapped).openshell);
    assert.deepEqual(
      [details.kind, details.plane, details.phase, details.effect, details.enforced, details.session, details.reason],
      [kind, 'egress', 'decision', 'allow', true, 'turn-1', allowed.reason],
    );
    assert.deepEqual(details.rule, { id: 'network_policies.api.endpoints[0]', name: 'api', line: 12 });
    assert.deepEqual(json(found.firewall_rule), { name: 'api', uid: allowed.rule.id, type: 'egress' });
    const process = json(json(found.actor).process);
    assert.deepEqual([process.pid, process.name, process.cmd_line], [58, 'curl', 'curl x']);
    assert.deepEqual(process.ancestry, [
      { name: 'bash', path: '/bin/bash' },
      { name: 'node', path: '/usr/bin/node' },
    ]);
  }
});

test('decisions: allowed, denied, to be asked, only watched', () => {
  const shown = (event: ActionEvent) => {
    const { action_id, action, disposition, severity, status } = json(record(event));
    return [action_id, action, disposition, severity, status];
  };
  assert.deepEqual(shown(actionEvent(getRequest)), [1, 'Allowed', 'Allowed', 'Informational', 'Unknown']);
  assert.deepEqual(shown(actionEvent(getRequest, { decision: denied })), [2, 'Denied', 'Blocked', 'Medium', 'Failure']);
  const ask = actionEvent(getRequest, { decision: { ...denied, effect: 'ask' } });
  assert.deepEqual(shown(ask), [2, 'Denied', 'Blocked', 'Low', 'Failure']);
  const watched = actionEvent(getRequest, { decision: { ...denied, enforced: false } });
  assert.deepEqual(shown(watched), [1, 'Allowed', 'Logged', 'Low', 'Unknown']);
  assert.equal(record(watched).unmapped.openshell.allow_with, denied.allowWith);
});

test('outcomes carry status, sizes, duration and codes', () => {
  const outcome = {
    status: 'failure',
    detail: 'reset',
    bytesIn: 10,
    bytesOut: 20,
    durationMs: 1.6,
    httpStatus: 502,
  } as const;
  const found = json(record(actionEvent(getRequest, { phase: 'outcome', parent: '1.0', outcome })));
  assert.deepEqual(
    [found.status, found.status_detail, found.status_code, found.duration, found.traffic, found.http_response],
    ['Failure', 'reset', '502', 2, { bytes_in: 10, bytes_out: 20 }, { code: 502 }],
  );
  assert.equal(json(json(found.unmapped).openshell).parent, '1.0');
  const exec = actionEvent(ACTIONS['process.exec'], { phase: 'outcome', outcome: { status: 'success', exitCode: 3 } });
  assert.deepEqual([record(exec).type_uid, record(exec).exit_code], [100702, 3]);
});

test('other processes of a socket are listed, and beyond the limit counted', () => {
  const details = (count: number) => {
    const processes = Array.from({ length: count }, (_, pid) => ({ pid, ancestors: [] }));
    const { openshell } = record(actionEvent({ ...getRequest, subject: { ...subject, processes } })).unmapped;
    return [openshell.other_processes, openshell.other_processes_left_out];
  };
  const listed = Array.from({ length: OTHER_PROCESSES }, (_, index) => ({ pid: index + 1 }));
  assert.deepEqual(details(1), [undefined, undefined]);
  assert.deepEqual(details(1 + OTHER_PROCESSES), [listed, undefined]);
  assert.deepEqual(details(1 + OTHER_PROCESSES + 3), [listed, 3]);
});

test('connections open, close, fail and are refused', () => {
  const type = (more: Partial<ActionEvent>) => record(actionEvent(ACTIONS['net.connect'], more)).type_uid;
  assert.equal(type({}), 400101);
  assert.equal(type({ decision: denied }), 400105);
  assert.equal(type({ phase: 'outcome', outcome: { status: 'success' } }), 400102);
  assert.equal(type({ phase: 'outcome', outcome: { status: 'failure' } }), 400104);
  assert.equal(record(actionEvent(ACTIONS['net.datagram'], { decision: denied })).type_uid, 400105);
  const datagram = json(record(actionEvent(ACTIONS['net.datagram'], { decision: denied })));
  assert.deepEqual(datagram.dst_endpoint, { ip: '2001:db8::1', port: 123 });
  assert.equal(json(datagram.connection_info).protocol_num, 17);
  assert.equal(record(actionEvent(ACTIONS['dns.query'], { phase: 'outcome' })).type_uid, 400302);
});

test('every file operation has an activity', () => {
  const activities: Readonly<Record<FileOperation, number>> = {
    ...{ create: 1, mkdir: 1, link: 1, symlink: 1, write: 3, truncate: 3, delete: 4, rmdir: 4, rename: 5 },
    ...{ chmod: 7, chown: 7 },
  };
  for (const operation of Object.keys(activities) as FileOperation[]) {
    const found = json(record(actionEvent({ kind: 'file.write', subject, path: '/a/b', operation, target: '/a/c' })));
    assert.equal(found.activity_id, activities[operation], operation);
    assert.deepEqual([json(found.file).path, json(found.file).name], ['/a/b', 'b']);
    assert.equal(json(found.file_result).path, '/a/c');
  }
});

test('every HTTP method has an activity; an unknown one keeps its name', () => {
  const methods = {
    CONNECT: 1,
    DELETE: 2,
    GET: 3,
    HEAD: 4,
    OPTIONS: 5,
    POST: 6,
    PUT: 7,
    TRACE: 8,
    PATCH: 9,
    QUERY: 99,
  };
  for (const [method, activity] of Object.entries({ ...methods, constructor: 99, __proto__: 99 })) {
    const found = record(actionEvent({ ...getRequest, method } as Action));
    assert.equal(found.activity_id, activity, method);
    if (activity === 99) assert.equal(found.activity_name, method);
  }
});

test('a query never reaches a record', () => {
  const found = record(actionEvent(getRequest));
  assert.equal(JSON.stringify(found).includes('a-query-value'), false);
  assert.equal(JSON.stringify(found).includes('api_key'), false);
  assert.deepEqual(json(json(found.http_request).url), {
    scheme: 'https',
    hostname: 'api.example.com',
    port: 443,
    path: '/v1/items',
    url_string: 'https://api.example.com/v1/items',
  });
});

test('lifecycle, config and finding', () => {
  const start = json(
    record({ type: 'lifecycle', activity: 'start', message: 'started', command: ['x', '--token', 's3cr3t'] }),
  );
  assertBase(start);
  assert.deepEqual([start.type_uid, start.status, json(start.app).uid], [600203, 'Success', 'demo']);
  assert.equal(json(json(start.unmapped).openshell).command, 'x --token [masked]');
  const fail = record({ type: 'lifecycle', activity: 'fail', message: 'no Landlock' });
  assert.deepEqual([fail.type_uid, fail.status, fail.severity], [600203, 'Failure', 'High']);
  const stop = record({ type: 'lifecycle', activity: 'stop', message: 'over', exitCode: 3 });
  assert.deepEqual([stop.type_uid, stop.unmapped.openshell.exit_code], [600204, 3]);

  const facts = { digest: 'abc', api_key: 's3cr3t', port: 8080, url: 'https://u:s3cr3t@h.example' };
  const config = json(record({ type: 'config', subject: 'policy', message: 'loaded', facts }));
  assertBase(config);
  assert.deepEqual([config.type_uid, json(config.device).type_id], [501901, 6]);
  assert.deepEqual(json(json(config.unmapped).openshell).facts, {
    digest: 'abc',
    api_key: '[masked]',
    port: 8080,
    url: 'https://[masked]@h.example',
  });

  const finding = json(record({ type: 'finding', title: 'T', severity: 'high', message: 'm', correlation: '1.9' }));
  assertBase(finding);
  assert.deepEqual(
    [finding.type_uid, finding.severity, finding.status, finding.is_alert],
    [200401, 'High', 'New', true],
  );
  assert.deepEqual(json(finding.finding_info), { uid: 'c/7', title: 'T', desc: 'm', created_time: STAMP.time });
  assert.equal(json(finding.metadata).correlation_uid, '1.9');
});
