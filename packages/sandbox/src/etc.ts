import { LaunchError } from './error.ts';
import type { HostFiles } from './host.ts';
import { HOME, type SandboxSpec, USER } from './spec.ts';
import type { Agent, View } from './view.ts';

export interface EtcFile {
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
}
export interface Etc {
  readonly files: readonly EtcFile[];
  /** Files of the host too large to be worth a copy at every launch: host path and path inside. */
  readonly binds: readonly { readonly source: string; readonly path: string }[];
  readonly symlinks: readonly { readonly path: string; readonly target: string }[];
}

/** Where programs look for trusted certificates. One file, given by the supervisor; the other places are links. */
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';
const BUNDLE_LINKS = [
  '/etc/ssl/cert.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/tls/cert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
];

/** What is larger is bound from the host instead of copied. */
const MAX_COPY_BYTES = 8192;

/** Facts about the system that hold no secret and that programs expect. */
const COPIED = [
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/localtime',
  '/etc/timezone',
  '/etc/mime.types',
  '/etc/services',
  '/etc/protocols',
  '/etc/os-release',
  '/etc/debian_version',
  '/etc/ssl/openssl.cnf',
  '/etc/pki/tls/openssl.cnf',
  '/etc/inputrc',
];

const PROFILE = `# Written by openshell.
if [ -n "$BASH_VERSION" ] && [ -z "$PS1_SET" ]; then PS1='\\u@\\h:\\w\\$ '; fi
umask 022
`;

function written(spec: SandboxSpec, agent: Agent): Record<string, string> {
  const { uid, gid } = agent;
  const root = uid === 0 ? '' : 'root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n';
  const rootGroup = gid === 0 ? '' : 'root:x:0:\n';
  return {
    '/etc/passwd':
      `${root}${USER}:x:${uid}:${gid}:${USER}:${HOME}:/bin/sh\n` +
      'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
    '/etc/group': `${rootGroup}${USER}:x:${gid}:\nnogroup:x:65534:\n`,
    '/etc/hosts': `127.0.0.1 localhost ${spec.hostname}\n::1 localhost ip6-localhost ip6-loopback\n`,
    '/etc/hostname': `${spec.hostname}\n`,
    '/etc/host.conf': 'multi on\n',
    '/etc/resolv.conf': 'nameserver 127.0.0.1\n',
    '/etc/nsswitch.conf':
      'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n',
    '/etc/shells': '/bin/sh\n/bin/bash\n',
    '/etc/profile': PROFILE,
  };
}

function checkGiven(path: string): void {
  const normal = /^\/etc(\/[^/\0]+)+$/.test(path) && !path.split('/').some((part) => part === '.' || part === '..');
  if (!normal) throw new LaunchError('plan', `a synthesised file must lie below /etc: ${path}`);
}

/**
 * The files of /etc inside: ours, facts copied from the host, and the supervisor's own (which win). When the policy
 * does not list /etc, only the supervisor's are there.
 */
export function buildEtc(spec: SandboxSpec, view: View, agent: Agent, hostFiles: HostFiles): Etc {
  const files = new Map<string, EtcFile>();
  const binds = new Map<string, string>();
  const put = (path: string, content: Uint8Array | string, mode = 0o644) => {
    binds.delete(path);
    files.set(path, { path, content: typeof content === 'string' ? Buffer.from(content) : content, mode });
  };
  const take = (path: string, from: string): boolean => {
    const source = hostFiles.realpath(from);
    const size = source === undefined ? undefined : hostFiles.lstat(source)?.size;
    if (source === undefined || size === undefined) return false;
    if (size > MAX_COPY_BYTES) {
      binds.set(path, source);
      return true;
    }
    const content = hostFiles.read(source);
    if (content !== undefined) put(path, content);
    return content !== undefined;
  };
  if (view.etc) {
    for (const path of COPIED) take(path, path);
    for (const [path, content] of Object.entries(written(spec, agent))) put(path, content);
  }
  for (const { path, content, mode } of spec.files) {
    checkGiven(path);
    put(path, content, mode & 0o777);
  }
  // What the policy lists below /etc comes from the host and hides anything of ours there.
  const taken = view.entries.filter((entry) => entry.target.startsWith('/etc/'));
  const free = (path: string) => !taken.some((entry) => path === entry.target || path.startsWith(`${entry.target}/`));
  const known = (path: string) => files.has(path) || binds.has(path);
  const links = known(BUNDLE) ? BUNDLE_LINKS.filter((path) => !known(path) && free(path)) : [];
  return {
    files: [...files.values()].filter(({ path }) => free(path)),
    binds: [...binds].filter(([path]) => free(path)).map(([path, source]) => ({ path, source })),
    symlinks: links.map((path) => ({ path, target: BUNDLE })),
  };
}
