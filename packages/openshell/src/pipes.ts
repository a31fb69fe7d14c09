/** Ends quietly when whoever reads our output has gone (`openshell logs x | head`), as other programs do. */
export function endOnClosedOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
