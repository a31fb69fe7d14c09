import { setTimeout as pause } from 'node:timers/promises';
import type { ProcessRef } from '@nemoclaw/policy';
import { IDENTIFY_ATTEMPTS, IDENTIFY_PAUSE_MS } from '../limits.ts';
import { findHolders, NotVisible } from './processes.ts';
import { type ClientTuple, socketInodes } from './sockets.ts';

/** Finds every process that holds the client's end of a connection. Empty when none can be found. */
export type Identify = (tuple: ClientTuple) => Promise<readonly ProcessRef[]>;

interface Waiting {
  readonly tuple: ClientTuple;
  readonly resolve: (found: readonly ProcessRef[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Identifies by the kernel's tables, from outside the sandbox: tuple to socket inode, inode to descriptors. Both cost
 * milliseconds, so connections that arrive while a search is under way share the next one.
 */
export class ProcessIdentifier {
  readonly #root: number;
  #waiting: Waiting[] = [];
  #searching = false;

  /** @param root host pid of the first process inside; its network namespace and its tree are searched. */
  constructor(root: number) {
    this.#root = root;
  }

  readonly identify: Identify = async (tuple) => {
    for (let attempt = 1; ; attempt++) {
      const last = attempt === IDENTIFY_ATTEMPTS;
      try {
        const found = await this.#holders(tuple);
        if (found.length > 0 || last) return found;
      } catch (error) {
        if (!(error instanceof NotVisible) || last) throw error;
      }
      // A descriptor on its way from one process to another is in no table for a moment, and a process that is
      // executing a program, or ending, shows none.
      await pause(IDENTIFY_PAUSE_MS);
    }
  };

  #holders(tuple: ClientTuple): Promise<readonly ProcessRef[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ tuple, resolve, reject });
      if (!this.#searching) void this.#search();
    });
  }

  async #search(): Promise<void> {
    this.#searching = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        const inodes = await socketInodes(
          this.#root,
          batch.map(({ tuple }) => tuple),
        );
        const wanted = new Set(inodes.filter((inode) => inode !== undefined));
        const holders = wanted.size === 0 ? new Map<string, ProcessRef[]>() : await findHolders(this.#root, wanted);
        for (const [index, { resolve }] of batch.entries()) resolve(holders.get(inodes[index] ?? '') ?? []);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#searching = false;
  }
}
