import type { CompiledPolicy } from '../compile.ts';
import { limits } from '../limits.ts';
import type { Policy } from '../policy.ts';
import type { RuleRef } from '../vocabulary.ts';
import { defaultRule, ruleAt } from './rule.ts';

export type FileAccess = 'none' | 'read' | 'write';

/** What a listed path, and everything below it, may be used for. */
export interface FileRule {
  readonly access: 'read' | 'write';
  readonly rule: RuleRef;
}

/** Rules by path. The longest listed prefix of a path decides. */
export type FileRules = ReadonlyMap<string, FileRule>;

/** What every sandbox has, whatever its policy lists. A listing of the same path replaces the entry. */
const RUNTIME_PATHS: readonly { readonly access: 'read' | 'write'; readonly paths: readonly string[] }[] = [
  { access: 'write', paths: ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom'] },
  { access: 'write', paths: ['/dev/tty', '/dev/ptmx', '/dev/pts', '/dev/shm'] },
  { access: 'write', paths: ['/dev/stdin', '/dev/stdout', '/dev/stderr', '/dev/fd'] },
  { access: 'read', paths: ['/proc'] },
  // Programs adjust themselves here (oom_score_adj, comm, fd); the kernel guards the processes of others.
  { access: 'write', paths: ['/proc/self', '/proc/thread-self'] },
  { access: 'write', paths: ['/sandbox'] },
];

const PROCESS_DIRECTORY = /^\/proc\/[0-9]+$/;

export function compileFilesystem(policy: Policy, workdir: string): FileRules {
  const rules = new Map<string, FileRule>();
  for (const { access, paths } of RUNTIME_PATHS) {
    for (const path of paths) rules.set(path, { access, rule: defaultRule('runtime_paths', path) });
  }
  const { includeWorkdir, readOnly, readWrite } = policy.filesystem;
  if (includeWorkdir) {
    rules.set(workdir, { access: 'write', rule: ruleAt(policy, ['filesystem_policy', 'include_workdir'], workdir) });
  }
  for (const [index, path] of readWrite.entries()) {
    rules.set(path, { access: 'write', rule: ruleAt(policy, ['filesystem_policy', 'read_write', index], path) });
  }
  // Last, so that an explicit read_only outweighs include_workdir at the same path.
  for (const [index, path] of readOnly.entries()) {
    rules.set(path, { access: 'read', rule: ruleAt(policy, ['filesystem_policy', 'read_only', index], path) });
  }
  return rules;
}

/**
 * What the sandbox can do at a path inside it. `none`: the path is not there. Longest listed prefix wins, so that a
 * read-only path inside a writable one is read-only. A path that is not absolute, holds
 * `..` or NUL, or is longer than the kernel takes, is `none`.
 */
export function fileAccess(policy: CompiledPolicy, path: string): FileAccess {
  return findFileRule(policy.filesystem, path)?.access ?? 'none';
}

export function findFileRule(rules: FileRules, path: string): FileRule | undefined {
  if (!path.startsWith('/') || path.includes('\0') || path.length > limits.pathLength) return undefined;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return undefined;
  let prefix = `/${parts.join('/')}`;
  while (prefix !== '') {
    const rule = rules.get(PROCESS_DIRECTORY.test(prefix) ? '/proc/self' : prefix);
    if (rule !== undefined) return rule;
    prefix = prefix.slice(0, prefix.lastIndexOf('/'));
  }
  return rules.get('/');
}
