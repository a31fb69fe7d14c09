import { formatProblems, PolicyError } from '@nemoclaw/policy';
import { UsageError } from './home.ts';

/**
 * Errors whose message is written for the user; anything else is a bug and keeps its stack. By name: importing the
 * classes would load every plane to print a message.
 */
const EXPECTED = new Set(['LaunchError', 'AuditError', 'ProviderError', 'InstallError']);

/** The arguments that are ours: what stands before `--`. */
export function ownArguments(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end < 0 ? argv : argv.slice(0, end);
}

/**
 * Prints an error on stderr and says which exit status it means: 125 when we failed, as docker and env do, unless the
 * error knows better.
 */
export function reportError(program: string, error: unknown, json = false): number {
  if (json) {
    const problems = error instanceof PolicyError ? { problems: error.problems } : {};
    process.stderr.write(
      `${JSON.stringify({ error: error instanceof Error ? error.message : String(error), ...problems })}\n`,
    );
  } else if (error instanceof PolicyError) {
    process.stderr.write(`${formatProblems(error.problems)}\n`);
  } else if (error instanceof UsageError || (error instanceof Error && EXPECTED.has(error.name))) {
    process.stderr.write(`${program}: ${error.message}\n`);
  } else {
    process.stderr.write(`${program}: unexpected: ${error instanceof Error ? error.stack : String(error)}\n`);
  }
  return error instanceof UsageError ? error.exitCode : 125;
}
