import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { ownArguments, reportError } from 'openshell/errors';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/** The command line of `nemoclaw`. Exit status: the agent's own; 125 when nemoclaw itself fails. */
export async function runCli(argv: readonly string[]): Promise<number> {
  let status = 0;
  const program = new Command('nemoclaw')
    .description('Runs OpenClaw under OpenShell: sandboxed, governed by policy, with every action on record.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(nemoclaw --help shows every command)');

  program
    .command('agent')
    .description(
      'Run one turn of the real OpenClaw in a sandbox. Without a message: the rehearsal, scripted, no key needed.',
    )
    .argument('[message...]', 'what to ask the agent')
    .option(
      '--provider <name>',
      'rehearsal, openai, anthropic, nvidia, ollama, or the base URL of an OpenAI-compatible server',
    )
    .option('--model <id>', 'the provider’s model (default: the provider’s own)')
    .option('--policy <file>', 'policy to enforce (default: policies/openclaw.yaml)')
    .option('--workdir <dir>', 'the agent’s workspace, with --provider (default: $NEMOCLAW_HOME/workspaces/openclaw)')
    .option('--json', 'print the result as JSON')
    .action(async (message: string[], options) => {
      const { agent } = await import('./commands/agent.ts');
      status = await agent(message.join(' '), options);
    });

  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 125;
    return reportError('nemoclaw', error, ownArguments(argv).includes('--json'));
  }
  return status;
}
