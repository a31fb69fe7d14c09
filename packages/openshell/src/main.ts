import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { nemoclawHome } from './home.ts';
import { endOnClosedOutput } from './pipes.ts';

endOnClosedOutput();
// Before anything large is imported: compiled sources are kept where only this user can write.
enableCompileCache(join(nemoclawHome(), 'cache', 'node'));
const { runCli } = await import('./cli.ts');
process.exitCode = await runCli(process.argv);
