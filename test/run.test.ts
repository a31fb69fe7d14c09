import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { OPENSHELL, openshell, REPOSITORY, records, runProgram, startOpenshell, workplace } from './harness.ts';

/** Host pids of processes whose command line holds the text: what a sandbox would leave behind. */
function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function gone(text: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (processesWith(text).length > 0) {
    assert.ok(Date.now() < deadline, `still running: ${processesWith(text)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('openshell run', () => {
  const place = workplace('run');
  const at = { home: place.home, cwd: place.workdir };

  test('the exit status, stdout, stderr and stdin are the program’s', async () => {
    const result = await openshell(['run', '--', 'sh', '-c', 'cat; echo out; echo err >&2; exit 7'], {
      ...at,
      input: 'in\n',
    });
    assert.deepEqual(result, { code: 7, signal: null, stdout: 'in\nout\n', stderr: 'err\n' });
  });

  test('a program ended by a signal is 128+signal', async () => {
    assert.equal((await openshell(['run', '--', 'sh', '-c', 'kill -TERM $$'], at)).code, 143);
  });

  test('a program that does not exist is 127, one that is not executable 126', async () => {
    assert.equal((await openshell(['run', '--', 'no-such-program'], at)).code, 127);
    assert.equal((await openshell(['run', '--', '/etc/passwd'], at)).code, 126);
  });

  test('arguments arrive exactly, whatever is in them', async () => {
    const odd = ['a b', '', '$HOME', '`id`', '"\'', '--policy', '-x', '\n', 'ü'];
    const { stdout } = await openshell(['run', '--', '/usr/bin/printf', '[%s]', ...odd], at);
    assert.equal(stdout, odd.map((each) => `[${each}]`).join(''));
  });

  test('the caller’s environment stays outside, --env goes in', async () => {
    const { stdout } = await openshell(['run', '--env', 'A=1', '--env', 'HTTP_PROXY', '--', 'env'], {
      ...at,
      env: { SECRET: 'hidden', HTTP_PROXY: 'http://proxy.invalid', https_proxy: 'http://proxy.invalid' },
    });
    assert.match(stdout, /^A=1$/m);
    assert.match(stdout, /^HTTP_PROXY=http:\/\/proxy\.invalid$/m, 'asked for by name');
    assert.doesNotMatch(stdout, /SECRET|https_proxy/);
  });

  test('the default policy: workdir and /tmp writable, the system not, no network', async () => {
    const script = `
      touch in-workdir /tmp/in-tmp && echo writable
      touch /usr/x 2>/dev/null || echo usr-closed
      touch /etc/x 2>/dev/null || echo etc-closed
      curl -s -m 5 http://203.0.113.9/ | grep -o policy_denied
    `;
    const { stdout } = await openshell(['run', '--', 'sh', '-c', script], at);
    assert.deepEqual(stdout.split('\n').filter(Boolean), ['writable', 'usr-closed', 'etc-closed', 'policy_denied']);
    assert.ok(existsSync(join(place.workdir, 'in-workdir')));
  });

  test('SIGTERM and SIGINT reach the program, which decides', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const mark = `mark-${signal}-${process.pid}`;
      const script = `trap 'echo caught; exit 9' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`;
      const child = startOpenshell(['run', '--', 'sh', '-c', script, mark], at);
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
        if (output === 'ready\n') child.kill(signal);
      });
      const [code] = await once(child, 'close');
      assert.deepEqual({ code, output }, { code: 9, output: 'ready\ncaught\n' });
      await gone(mark);
    }
  });

  test('a killed supervisor takes everything with it', async () => {
    const mark = `orphan-${process.pid}`;
    const child = startOpenshell(['run', '--', 'sh', '-c', '(setsid sleep 1000 &) ; echo ready; sleep 1000', mark], at);
    await once(child.stdout, 'data');
    assert.notEqual(processesWith(mark).length, 0);
    child.kill('SIGKILL');
    await once(child, 'close');
    await gone(mark);
  });

  test('the log of a run verifies and tells what ran', async () => {
    const { code } = await openshell(['run', '--name', 'told', '--', 'touch', 'told.txt'], at);
    assert.equal(code, 0);
    const verified = await openshell(['audit', 'verify', 'told'], at);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    const tail = await openshell(['logs', 'told', '--tail', '2'], at);
    assert.match(tail.stdout, /^[^\n]+\n[^\n]+lifecycle\.stop[^\n]+\n$/);
    const json = await openshell(['logs', 'told', '--tail', '--json'], at);
    assert.equal(JSON.parse(json.stdout.trimEnd().split('\n').at(-1) ?? '').class_uid, 6002);
    const classes = (await records(join(place.home, 'audit', 'told'))).map(({ record }) => record.class_uid);
    for (const wanted of [6002, 5019, 1007, 1001]) assert.ok(classes.includes(wanted), `class ${wanted} in ${classes}`);
  });

  test('--dry-run prints the plan and starts nothing', async () => {
    const text = await openshell(['run', '--dry-run', '--', 'touch', 'never'], at);
    assert.equal(text.code, 0, text.stderr);
    const json = await openshell(['run', '--dry-run', '--json', '--name', 'dry', '--', 'touch', 'never'], at);
    assert.ok(JSON.parse(json.stdout));
    assert.equal(existsSync(join(place.workdir, 'never')), false);
    assert.equal(existsSync(join(place.home, 'audit', 'dry')), false);
  });

  test('a workdir that holds NEMOCLAW_HOME does not show it', async () => {
    const script = 'ls; ls home; cat home/credentials/*; touch home/x';
    const result = await openshell(['run', '--workdir', place.directory, '--', 'sh', '-c', script], at);
    assert.equal(result.stdout, 'home\nwork\n', 'the workdir is there, and nothing in home');
    assert.match(result.stderr, /No such file[\s\S]*Read-only file system/);
    assert.ok(existsSync(join(place.home, 'credentials/audit-signing.key')), 'the control: it exists outside');
  });

  test('an agent that works in this repository cannot rewrite what holds it', async () => {
    const script =
      'for d in packages node_modules policies scripts package.json .git/hooks docs; do test -w $d && echo $d; done';
    const { stdout } = await openshell(['run', '--workdir', REPOSITORY, '--', 'sh', '-c', script], at);
    assert.equal(stdout, 'docs\n');
  });

  test('a NEMOCLAW_HOME behind a link that the agent could turn is refused; its real path is not', async () => {
    const real = join(place.directory, 'real-home');
    mkdirSync(real);
    symlinkSync(real, join(place.workdir, 'state'));
    const turned = await openshell(['run', '--', 'true'], { home: join(place.workdir, 'state'), cwd: place.workdir });
    assert.equal(turned.code, 125);
    assert.match(turned.stderr, /could turn/);
    assert.equal((await openshell(['run', '--', 'true'], { home: real, cwd: place.workdir })).code, 0);
  });

  test('the policy in force cannot be rewritten from inside', async () => {
    const policy = join(place.workdir, 'policy.yaml');
    writeFileSync(
      policy,
      'version: 1\nfilesystem_policy: { include_workdir: true, read_only: [/usr, /bin, /lib, /lib64] }\n',
    );
    const script =
      'echo x >> policy.yaml; mv policy.yaml other.yaml; rm -f policy.yaml; echo x > beside && echo beside-written';
    const { stdout } = await openshell(['run', '--policy', policy, '--', 'sh', '-c', script], at);
    assert.equal(stdout, 'beside-written\n');
    assert.match(readFileSync(policy, 'utf8'), /^version: 1\nfilesystem_policy.*\n$/);
  });

  test('a log that an agent plants under the name of a sandbox is not the one that is read', async () => {
    assert.equal((await openshell(['run', '--name', 'real', '--', 'mkdir', '-m', '700', 'real'], at)).code, 0);
    writeFileSync(join(place.workdir, 'real', 'events.jsonl'), '');
    const { stdout } = await openshell(['audit', 'verify', 'real'], at);
    assert.equal(stdout.split('\n')[0], join(place.home, 'audit', 'real'));
  });

  test('a machine without user namespaces: no start, and what to do', async () => {
    const script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" run -- touch never-started';
    const { code, stderr } = await runProgram('unshare', ['-Ur', 'sh', '-c', script, OPENSHELL], at);
    assert.equal(code, 125);
    assert.match(stderr, /lacks what a sandbox needs: user namespaces\n.*sysctl/);
    assert.equal(existsSync(join(place.workdir, 'never-started')), false);
  });

  test('bad input is refused with a hint and no side effect', async () => {
    for (const [args, hint] of [
      [['run'], /missing required argument/],
      [['run', '--name', 'Bad Name', '--', 'true'], /try `bad-name`/],
      [['run', '--add-host', 'x', '--', 'true'], /NAME=IP/],
      [['run', '--env', '1=2', '--', 'true'], /not a variable name/],
      [['run', '--workdir', '/nowhere', '--', 'true'], /ENOENT/],
      [['run', '--policy', '/nowhere', '--', 'true'], /cannot read the policy/],
      [['run', '--workdir', join(place.home, 'audit'), '--', 'true'], /no sandbox may see/],
      [['run', '--audit-dir', join(place.workdir, 'log'), '--', 'true'], /where a later sandbox could reach it/],
      [['run', '--audit-dir', '/proc/log', '--', 'true'], /cannot make the directory/],
      [['run', '--workdir', join(REPOSITORY, 'packages'), '--', 'true'], /OpenShell's own program/],
      [['logs', 'nobody'], /no sandbox called nobody/],
    ] as const) {
      const result = await openshell(args, at);
      assert.notEqual(result.code, 0, args.join(' '));
      assert.match(result.stderr, hint, args.join(' '));
    }
  });
});

describe('openshell policy check', () => {
  const place = workplace('check');
  const at = { home: place.home, cwd: place.workdir };

  test('a good policy is 0', async () => {
    const result = await openshell(['policy', 'check', place.file('good.yaml', 'version: 1\n')], at);
    assert.equal(result.code, 0, result.stderr);
  });

  test('a bad one is 1, with file:line:column and a suggestion', async () => {
    const file = place.file('bad.yaml', 'version: 1\nfilesystem_policy:\n  read_onyl: [/usr]\n');
    const result = await openshell(['policy', 'check', file], at);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /bad\.yaml:3:3: .*read_onyl/);
    assert.match(result.stderr, /read_only/);
  });
});
