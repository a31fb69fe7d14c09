import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { ownArguments, reportError } from './errors.ts';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value];

/**
 * The command line of `openshell`. Each command's module is loaded when it is called for.
 * @returns the exit status: the program's own for `run`; 125 when openshell itself fails; 1 for a failed check.
 */
export async function runCli(argv: readonly string[]): Promise<number> {
  let status = 0;
  const program = new Command('openshell')
    .description('Runs programs and AI agents in a sandbox that they cannot argue with.')
    .version(version)
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(openshell --help shows every command)');

  program
    .command('run')
    .description('Run a program under a policy, in the foreground.')
    .argument('<command...>', 'the program and its arguments, after --')
    .option(
      '--policy <file>',
      'policy to enforce (default: system paths read-only, workdir and /tmp writable, no network)',
    )
    .option('--name <name>', 'name of the sandbox, and of its log (default: run-…)')
    .option('--workdir <dir>', 'directory to work in (default: here)')
    .option('--env <K=V>', 'set a variable inside; K alone passes yours on (repeatable)', collect, [])
    .option(
      '--add-host <NAME=IP[:PORT]>',
      'where a name leads, on your word, private addresses included (repeatable)',
      collect,
      [],
    )
    .option('--upstream-ca <file>', 'PEM authority to trust upstream besides the system’s (repeatable)', collect, [])
    .option('--audit-dir <dir>', 'where to write the audit log (default: $NEMOCLAW_HOME/audit/NAME)')
    .option('--dry-run', 'print the launch plan and start nothing')
    .option('--json', 'machine-readable: the plan of --dry-run on stdout, the summary and errors on stderr')
    .passThroughOptions()
    .action(async (command: string[], options) => {
      const { run } = await import('./commands/run.ts');
      status = await run(command, options);
    });

  const policy = program.command('policy').description('Work with policy files.');
  policy
    .command('check')
    .description('Check a policy file; prints file:line:column for every problem. Exit 1 when there is one.')
    .argument('<file>')
    .option('--json', 'machine-readable')
    .action(async (file: string, options) => {
      const { check } = await import('./commands/policy.ts');
      status = check(file, options);
    });

  const audit = program.command('audit').description('Work with audit logs.');
  audit
    .command('verify')
    .description(
      'Verify an audit log. Exit 1 and the first bad record on any edit, deletion, reordering, truncation or insertion.',
    )
    .argument('<dir>', 'the log’s directory, or the name of a sandbox')
    .option('--key <key>', 'verifier key to trust, or a file that holds it (default: the key.pub beside the log)')
    .option('--json', 'machine-readable')
    .action(async (directory: string, options) => {
      const { verify } = await import('./commands/audit.ts');
      status = await verify(directory, options);
    });

  program
    .command('logs')
    .description('Show what happened in a sandbox.')
    .argument('<sandbox>', 'name of a sandbox, or the directory of its log')
    .option('--tail [n]', 'only the last n records (default: 20)')
    .option('--denied', 'only what was denied')
    .option('--json', 'the records themselves, one a line (OCSF)')
    .action(async (target: string, options) => {
      const { logs } = await import('./commands/audit.ts');
      status = await logs(target, options);
    });

  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 125;
    return reportError('openshell', error, ownArguments(argv).includes('--json'));
  }
  return status;
}
