import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { SummaryRow } from '@nemoclaw/audit';
import { nemoclaw, openshell, REPOSITORY, records, scratch } from './harness.ts';

/** Kept between runs, so that OpenClaw is installed once for each clone. */
const HOME = join(REPOSITORY, '.cache/nemoclaw-home');

interface Answer {
  readonly exit_code: number;
  readonly text: string;
  readonly scripted: boolean;
  readonly audit: string;
  readonly verification: { readonly ok: boolean; readonly closed: boolean; readonly records: number };
  readonly actions: readonly SummaryRow[];
}

describe('the real OpenClaw plays the rehearsal', () => {
  let answer: Answer;
  let log = '';
  before(async () => {
    for (const part of ['audit', 'sandboxes', 'workspaces']) rmSync(join(HOME, part), { recursive: true, force: true });
    mkdirSync(HOME, { recursive: true });
    // With the caller's environment: npm's configuration may be in it.
    const env = Object.fromEntries(
      Object.entries(process.env).filter((each): each is [string, string] => each[1] !== undefined),
    );
    const result = await nemoclaw(['agent', '--json'], { home: HOME, env: { ...env, NEMOCLAW_HOME: HOME } });
    assert.equal(result.code, 0, result.stderr);
    answer = JSON.parse(result.stdout);
    log = readFileSync(join(answer.audit, 'events.jsonl'), 'utf8');
  });

  const find = (action: string, object: RegExp): SummaryRow => {
    const row = answer.actions.find((each) => each.action === action && object.test(each.object));
    assert.ok(
      row,
      `${action} ${object} in\n${answer.actions.map((each) => `${each.action} ${each.object}`).join('\n')}`,
    );
    return row;
  };

  test('it names itself scripted and ends well', () => {
    assert.equal(answer.scripted, true);
    assert.equal(answer.exit_code, 0);
  });

  test('the allowed work was done', () => {
    assert.equal(find('tool.call', /^read/).decision, 'allow');
    assert.equal(find('tool.call', /^write/).decision, 'allow');
    assert.match(readFileSync(join(HOME, 'workspaces/rehearsal/summary.md'), 'utf8'), /Release Thursday/);
    for (const program of [/\/git\b/, /python3/]) assert.equal(find('process.exec', program).decision, 'allow');
  });

  test('the kernel plane refused the write outside, and nothing was written', () => {
    for (const path of [/ \/etc\/hosts$/, / \/usr\/local\/bin\/backdoor$/]) {
      const row = find('file.write', path);
      assert.deepEqual([row.plane, row.decision], ['kernel', 'deny']);
    }
    assert.throws(() => readFileSync('/usr/local/bin/backdoor'));
    assert.doesNotMatch(readFileSync('/etc/hosts', 'utf8'), /bank\.example/);
  });

  test('the host’s secrets do not exist inside', () => {
    const key = readFileSync(join(HOME, 'credentials/audit-signing.key'), 'utf8');
    const body = key.split('\n')[1] ?? '';
    assert.ok(body.length > 20);
    assert.ok(!log.includes(body) && !answer.text.includes(body));
    find('process.exec', /^\/usr\/bin\/cat .*audit-signing\.key/);
    assert.equal(find('tool.call', /^exec cat .*id_ed25519/).outcome, 'failed (1)');
  });

  test('the API: GET arrives, POST is refused by its method', () => {
    const get = find('http.request', /^GET https:\/\/api\.example\.test\/v1\/notes/);
    assert.equal(get.decision, 'allow');
    assert.match(get.outcome, /200/);
    assert.equal(find('http.request', /^POST https:\/\/api\.example\.test\/v1\/notes/).decision, 'deny');
  });

  test('the unlisted host: refused by name, through a proxy, by address; process and host on record', () => {
    assert.equal(find('net.connect', /collector\.example\.net/).decision, 'deny');
    assert.equal(find('net.connect', /203\.0\.113\.7:3128/).decision, 'deny');
    assert.equal(find('net.connect', /203\.0\.113\.7:80/).decision, 'deny');
    assert.match(log, /collector\.example\.net[^\n]*\/usr\/bin\/curl|\/usr\/bin\/curl[^\n]*collector\.example\.net/);
  });

  test('the denied tool: OpenClaw never received the call, the model was told why', () => {
    const row = find('tool.call', /^gateway/);
    assert.equal(row.decision, 'deny');
    assert.match(answer.text, /gateway/);
    assert.match(answer.text, /polic/i);
  });

  test('the log verifies and every class of record is in it', async () => {
    assert.deepEqual([answer.verification.ok, answer.verification.closed], [true, true]);
    const classes = new Set((await records(answer.audit)).map(({ record }) => record.class_uid));
    for (const wanted of [1001, 1007, 4001, 4002, 5019, 6002, 6003]) assert.ok(classes.has(wanted), `class ${wanted}`);
  });

  test('each kind of tampering with it is caught', async () => {
    const lines = log.trimEnd().split('\n');
    const middle = Math.floor(lines.length / 2);
    const [one, two] = [lines[middle] ?? '', lines[middle + 1] ?? ''];
    const tampered: Record<string, string[]> = {
      edit: lines.with(middle, one.replace('"severity_id":', '"severity_id": ')),
      deletion: lines.toSpliced(middle, 1),
      reordering: lines.with(middle, two).with(middle + 1, one),
      insertion: lines.toSpliced(middle, 0, one),
      truncation: lines.slice(0, -3),
    };
    for (const [kind, content] of [['control', lines] as const, ...Object.entries(tampered)]) {
      const copy = join(scratch('tamper'), 'log');
      cpSync(answer.audit, copy, { recursive: true });
      writeFileSync(join(copy, 'events.jsonl'), `${content.join('\n')}\n`);
      const { code } = await openshell(['audit', 'verify', copy], { home: HOME });
      assert.equal(code, kind === 'control' ? 0 : 1, kind);
    }
    const headless = join(scratch('tamper'), 'log');
    cpSync(answer.audit, headless, { recursive: true });
    rmSync(join(headless, 'checkpoints'));
    assert.equal((await openshell(['audit', 'verify', headless], { home: HOME })).code, 1, 'signed heads deleted');
  });
});
