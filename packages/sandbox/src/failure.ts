import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { LaunchError } from './error.ts';
import type { LaunchPlan } from './plan.ts';

const EPERM = constants.errno.EPERM;
const ENOENT = constants.errno.ENOENT;
const EINVAL = constants.errno.EINVAL;
const ELOOP = constants.errno.ELOOP;

function errorText(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? `error ${errno}`;
}

/** The next step for a failure that has a known one. */
function fixFor(op: string, what: string, errno: number): string | undefined {
  if (op === 'enter' || (op === 'root' && errno === EPERM)) {
    return 'User namespaces are restricted here; `openshell doctor` names the setting.';
  }
  if (op === 'idmap' || what.startsWith('mount_setattr idmap')) {
    return errno === EINVAL
      ? 'That file system has no idmapped mounts: use another directory, or run as the user who owns it.'
      : 'Idmapped mounts need root on the host.';
  }
  if (errno === ELOOP) return 'It is, or leads through, a symbolic link: list the path that it leads to.';
  if (op === 'tree' && errno === ENOENT) return 'It was removed while the sandbox started: try again.';
  if (op === 'netlink') return 'A netfilter module is missing; `openshell doctor` names it.';
  return undefined;
}

/** A failure that openshell-init reported: i32 step, i32 errno, text. */
export function describeFailure(plan: LaunchPlan, payload: Buffer): LaunchError {
  const index = payload.readInt32LE(0);
  const errno = payload.readInt32LE(4);
  const text = payload.toString('utf8', 8);
  const step = plan.steps[index];
  if (step === undefined) return new LaunchError('plan', `openshell-init refused the plan: ${text}`);
  if (step.op === 'exec') {
    const [program] = step.argv;
    const reason = errno === ENOENT ? 'not found inside the sandbox' : errorText(errno);
    return new LaunchError('exec', `cannot run ${program}: ${reason}`, `Looked for: ${step.candidates.join(', ')}`);
  }
  const message = `cannot start the sandbox: step ${index} (${step.op}): ${text}: ${errorText(errno)}`;
  return new LaunchError(step.op, message, fixFor(step.op, text, errno));
}
