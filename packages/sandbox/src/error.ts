/** A sandbox that could not be planned or started. The message says what failed; `fix` the next step to take. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError';
  /** What was being done: the `op` of a plan step, `plan`, `probe` or `spawn`. */
  readonly step: string;
  readonly fix: string | undefined;

  constructor(step: string, message: string, fix?: string) {
    super(fix === undefined ? message : `${message}\n  ${fix}`);
    this.step = step;
    this.fix = fix;
  }
}
