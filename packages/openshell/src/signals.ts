import type { RunningSandbox } from '@nemoclaw/sandbox';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

/** Passes the signals that reach us on to the command inside, which decides what they mean. Returns what stops it. */
export function forwardSignals(sandbox: Pick<RunningSandbox, 'signal'>): () => void {
  const forward = (name: NodeJS.Signals): void => sandbox.signal(name);
  for (const name of FORWARDED) process.on(name, forward);
  return () => {
    for (const name of FORWARDED) process.off(name, forward);
  };
}
