import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';

/** Milliseconds of each round, sorted. */
export type Samples = readonly number[];

/** The value below which the given share of the samples lies. */
export function quantile(samples: Samples, share: number): number {
  return samples[Math.min(samples.length - 1, Math.floor(samples.length * share))] ?? Number.NaN;
}
export const median = (samples: Samples): number => quantile(samples, 0.5);

/**
 * Runs every contender once a round, in turn, so that a noisy moment hurts all alike; the first round warms up and does
 * not count.
 */
export async function sideBySide(
  contenders: ReadonlyMap<string, () => Promise<void>>,
  rounds: number,
): Promise<Map<string, Samples>> {
  const times = new Map<string, number[]>([...contenders.keys()].map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, work] of contenders) {
      const begin = performance.now();
      await work();
      if (round > 0) times.get(name)?.push(performance.now() - begin);
    }
  }
  return new Map([...times].map(([name, list]) => [name, list.sort((a, b) => a - b)]));
}

/** Runs a program to its end; a failure is an error, so that nothing fast because broken is measured. */
export function execute(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${file} ended with ${code}: ${stderr.trim()}`)),
    );
  });
}

/** A program on PATH, or undefined. */
export function onPath(name: string): string | undefined {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return join(directory, name);
    } catch {
      // Not in this one.
    }
  }
  return undefined;
}

/** The machine, in one line. */
export function machine(): string {
  const [cpu] = cpus();
  return `Linux ${release()}, ${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, uid ${process.getuid?.()}`;
}

/** Prints medians and ratios to the first contender. */
export function printComparison(title: string, unit: string, results: ReadonlyMap<string, Samples>): void {
  const [first] = results.values();
  const base = first ? median(first) : Number.NaN;
  process.stdout.write(`\n${title}\n`);
  for (const [name, samples] of results) {
    const [middle, high] = [median(samples), quantile(samples, 0.95)];
    process.stdout.write(
      `  ${name.padEnd(34)} median ${middle.toFixed(2).padStart(9)} ${unit}   p95 ${high.toFixed(2).padStart(9)}   ${(middle / base).toFixed(2).padStart(7)}×   n=${samples.length}\n`,
    );
  }
}
