/** The first thing that is wrong with a log. */
export interface FlawDetails {
  readonly file: 'events.jsonl' | 'checkpoints' | 'key.pub';
  /** 1-based line in that file. */
  readonly line: number;
  /** The record's place in the log, from 1; only for `events.jsonl`. */
  readonly sequence?: number;
  readonly reason: string;
}

/** Thrown while checking, caught by whoever reports. */
export class Flaw extends Error {
  readonly details: FlawDetails;

  constructor(details: FlawDetails) {
    super(`${details.file}:${details.line}: ${details.reason}`);
    this.details = details;
  }
}
