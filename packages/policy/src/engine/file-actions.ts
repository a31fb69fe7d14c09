/** Decisions on files and programs. They explain what the mounts and Landlock enforce. */
import type { CompiledPolicy } from '../compile.ts';
import { printable } from '../text.ts';
import type { Decision, FileOperation, FileRead, FileWrite, ProcessExec } from '../vocabulary.ts';
import { type FileRule, findFileRule } from './filesystem.ts';
import { defaultRule } from './rule.ts';
import { allowPaths } from './snippet.ts';

export function decideExec(policy: CompiledPolicy, { path }: ProcessExec): Decision {
  return decideVisible(policy, path, 'run');
}

export function decideRead(policy: CompiledPolicy, { path }: FileRead): Decision {
  return decideVisible(policy, path, 'read');
}

function decideVisible({ filesystem }: CompiledPolicy, path: string, verb: string): Decision {
  const found = findFileRule(filesystem, path);
  if (found !== undefined) return allow(found, `${printable(path)} may be ${verb}`);
  return deny(
    `${printable(path)} does not exist in the sandbox: the policy does not list it`,
    allowPaths('read_only', [path]),
  );
}

export function decideWrite({ filesystem }: CompiledPolicy, action: FileWrite): Decision {
  const second = action.operation === 'rename' || action.operation === 'link' ? action.target : undefined;
  const paths = second === undefined ? [action.path] : [action.path, second];
  const rules = paths.map((path) => ({ path, found: findFileRule(filesystem, path) }));
  const refused = rules.filter(({ found }) => found?.access !== 'write');
  const [first] = refused;
  const granted = rules[0]?.found;
  if (first === undefined && granted !== undefined) return allow(granted, `${printable(action.path)} is writable`);
  const name = printable(first?.path ?? action.path);
  const state = first?.found === undefined ? 'does not exist in the sandbox' : 'is read-only';
  const wanted = refused.map(({ path }) => writablePath(path, action.operation));
  // A path that is listed read-only cannot be listed writable as well: that is the operator's line to change.
  const allowWith = wanted.some((path) => filesystem.has(path)) ? undefined : allowPaths('read_write', wanted);
  return deny(`${name} ${state}: the policy does not list it as writable`, allowWith, first?.found);
}

const ON_THE_FILE: readonly FileOperation[] = ['write', 'truncate', 'chmod', 'chown'];

/** What to list: the file itself to change it, its directory to make or remove it. */
function writablePath(path: string, operation: FileOperation): string {
  return ON_THE_FILE.includes(operation) ? path : path.slice(0, path.lastIndexOf('/'));
}

function allow({ rule }: FileRule, reason: string): Decision {
  return { effect: 'allow', rule, reason, enforced: true };
}

function deny(reason: string, allowWith: string | undefined, found?: FileRule): Decision {
  const rule = found?.rule ?? defaultRule('filesystem_policy', 'not listed');
  return { effect: 'deny', rule, reason, enforced: true, ...(allowWith !== undefined && { allowWith }) };
}
