import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';

import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CertificateAuthority } from '@nemoclaw/egress';
import { parsePolicy } from '@nemoclaw/policy';
import { supervise } from 'openshell';
import { execute, median, quantile } from './measure.ts';

const HOST = 'api.example.test';
const REQUESTS = 2000;
const BYTES = 512 * 2 ** 20;

/** Run inside and outside alike: small https requests on one kept connection, then a bulk download over plain TCP. */
const CLIENT = `
import https from 'node:https';
import net from 'node:net';
const [host, httpsPort, tcpPort, connectTo] = process.argv.slice(2);
const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
const get = () => new Promise((resolve, reject) => https.get({ host: connectTo, servername: host, headers: { host: host + ':' + httpsPort }, port: httpsPort, path: '/', agent },
  (response) => { response.resume(); response.once('end', () => response.statusCode === 200 ? resolve() : reject(new Error('status ' + response.statusCode))); }).once('error', reject));
for (let i = 0; i < 200; i++) await get();
const times = [];
for (let i = 0; i < ${REQUESTS}; i++) { const begin = performance.now(); await get(); times.push(performance.now() - begin); }
agent.destroy();
const begin = performance.now();
let bytes = 0;
await new Promise((resolve, reject) => net.connect(Number(tcpPort), connectTo).on('data', (chunk) => { bytes += chunk.length; }).once('end', resolve).once('error', reject));
if (bytes !== ${BYTES}) throw new Error('received ' + bytes);
console.log(JSON.stringify({ times: times.sort((a, b) => a - b), megabytesPerSecond: bytes / 2 ** 20 / ((performance.now() - begin) / 1000) }));
`;

interface Answer {
  readonly times: readonly number[];
  readonly megabytesPerSecond: number;
}

async function origin(): Promise<{ httpsPort: number; tcpPort: number; ca: string; close(): void }> {
  const authority = await CertificateAuthority.create('bench origin');
  const { key, cert } = await authority.leaf(HOST);
  const https = createServer({ key, cert }, (_request, response) => response.end('ok'));
  const tcp = createTcpServer(
    (socket) => void createReadStream('/dev/zero', { end: BYTES - 1, highWaterMark: 1 << 18 }).pipe(socket),
  );
  for (const server of [https, tcp]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
  return {
    httpsPort: port(https),
    tcpPort: port(tcp),
    ca: authority.certificatePem,
    close: () => {
      for (const server of [https, tcp]) server.close();
      https.closeAllConnections();
    },
  };
}

async function outside(directory: string, script: string, args: readonly string[]): Promise<Answer> {
  const out = join(directory, 'answer.json');
  // Through a file: the same client, no pipe to read while it measures.
  await execute('/bin/sh', ['-c', 'exec "$0" "$@" > "$OUT"', process.execPath, script, ...args], {
    env: { OUT: out, NODE_EXTRA_CA_CERTS: join(directory, 'ca.pem') },
  });
  return JSON.parse(readFileSync(out, 'utf8')) as Answer;
}

async function inside(
  directory: string,
  script: string,
  args: readonly string[],
  ports: { https: number; tcp: number },
  ca: string,
): Promise<Answer> {
  const node = dirname(dirname(process.execPath));
  const policy = `version: 1
filesystem_policy: { include_workdir: true, read_only: [/usr, /bin, /sbin, /lib, /lib64, /etc, ${node}], read_write: [/tmp] }
network_policies:
  inspected: { endpoints: [{ host: ${HOST}, port: ${ports.https}, protocol: rest, access: read-only }], binaries: [{ path: ${node}/** }] }
  relayed: { endpoints: [{ host: ${HOST}, port: ${ports.tcp} }], binaries: [{ path: ${node}/** }] }
`;
  const state = mkdtempSync(join(tmpdir(), 'nemoclaw-bench-state-'));
  try {
    const { sandbox, finished } = await supervise(
      {
        name: 'bench',
        policy: parsePolicy(policy, 'bench.yaml'),
        workdir: { source: directory, target: directory },
        mounts: [],
        files: [],
        facts: [],
        command: [process.execPath, script, ...args],
        cwd: directory,
        env: {},
        hosts: new Map([[HOST, { address: '127.0.0.1' }]]),
        upstreamCa: [ca],
        hidden: [state],
        auditDirectory: join(state, 'audit'),
        signingKey: join(state, 'credentials', 'key'),
      },
      { stdio: ['pipe', 'pipe', 2] },
    );
    let output = '';
    sandbox.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    const { code } = await finished;
    if (code !== 0) throw new Error(`the client inside ended with ${code}`);
    return JSON.parse(output) as Answer;
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

/** Small inspected requests and bulk relay through the egress plane, beside the same client connecting directly. */
export async function benchEgress(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'nemoclaw-bench-'));
  const server = await origin();
  try {
    const script = join(directory, 'client.mjs');
    writeFileSync(script, CLIENT);
    writeFileSync(join(directory, 'ca.pem'), server.ca);
    const ports = [String(server.httpsPort), String(server.tcpPort)];
    const direct = await outside(directory, script, [HOST, ...ports, '127.0.0.1']);
    const through = await inside(
      directory,
      script,
      [HOST, ...ports, HOST],
      { https: server.httpsPort, tcp: server.tcpPort },
      server.ca,
    );
    const row = (name: string, { times, megabytesPerSecond }: Answer): string =>
      `  ${name.padEnd(34)} median ${median(times).toFixed(3)} ms   p99 ${quantile(times, 0.99).toFixed(3)} ms   bulk ${megabytesPerSecond.toFixed(0)} MiB/s\n`;
    process.stdout.write(`\nhttps request on a kept connection (n=${REQUESTS}), bulk TCP (${BYTES / 2 ** 20} MiB)\n`);
    process.stdout.write(row('direct', direct) + row('through the egress plane', through));
    process.stdout.write(
      `  ratio                              ${(median(through.times) / median(direct.times)).toFixed(2)}× latency (TLS ended twice, each request decided and recorded), ${(through.megabytesPerSecond / direct.megabytesPerSecond).toFixed(2)}× throughput\n`,
    );
  } finally {
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
