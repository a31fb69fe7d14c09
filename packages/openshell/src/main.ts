import { prepareProcess } from './entry.ts';

prepareProcess();
const { runCli } = await import('./cli.ts');
process.exitCode = await runCli(process.argv);
