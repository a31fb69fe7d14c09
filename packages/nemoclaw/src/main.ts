import { prepareProcess } from 'openshell/entry';

prepareProcess();
const { runCli } = await import('./cli.ts');
process.exitCode = await runCli(process.argv);
