import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { ensureDirectory, nemoclawHome } from './home.ts';

/**
 * What both command lines do first: keep compiled sources where only this user can write, and end quietly when whoever
 * reads the output has gone (`openshell logs x | head`).
 */
export function prepareProcess(): void {
  try {
    enableCompileCache(ensureDirectory(join(nemoclawHome(), 'cache', 'node')));
  } catch {
    // Slower without; what matters will say so itself.
  }
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
