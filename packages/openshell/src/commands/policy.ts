import { formatProblems, PolicyError } from '@nemoclaw/policy';
import { readPolicy } from '../request.ts';

/** `openshell policy check`: exit 0 when the file is a policy, 1 with every problem when it is not. */
export function check(file: string, options: { readonly json?: boolean }): number {
  try {
    const policy = readPolicy(file);
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ file, ok: true, sha256: policy.source.digest, problems: [] })}\n`
        : `${file}: ok (${policy.networkPolicies.length} network policies, ${policy.tools.rules.length} tool rules)\n`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    if (options.json) process.stdout.write(`${JSON.stringify({ file, ok: false, problems: error.problems })}\n`);
    else process.stderr.write(`${formatProblems(error.problems)}\n`);
    return 1;
  }
}
