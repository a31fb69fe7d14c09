import { hash } from 'node:crypto';
import type { Attestation, Fingerprint, OcsfRecord, RecordBody } from '../ocsf/record.ts';
import { Flaw } from './flaw.ts';

/** What a record's successor says of it. */
export interface Link {
  readonly uid: string;
  readonly type_uid: number;
  readonly fingerprint: string;
}

const OPENING = ',"fingerprint":{"algorithm":"SHA-256","algorithm_id":3,"value":"';
const CLOSING = '"}';
const ENDING = '}]}';
const SUFFIX_BYTES = OPENING.length + 64 + CLOSING.length + ENDING.length;
const SUFFIX = new RegExp(`^${escapeRegExp(OPENING)}([0-9a-f]{64})${escapeRegExp(CLOSING + ENDING)}$`);

/** Valid inside JSON strings, yet able to break lines or rewrite what a terminal shows: written as \u escapes. */
const UNSAFE_IN_TEXT = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function fingerprintOf(value: string): Fingerprint {
  return { algorithm: 'SHA-256', algorithm_id: 3, value };
}

/** One line of JSON without characters that a terminal or a line splitter would act on. */
function toLine(value: unknown): string {
  return JSON.stringify(value).replace(
    UNSAFE_IN_TEXT,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A record with its attestation, as the line to write. */
export interface Sealed {
  readonly line: string;
  readonly record: OcsfRecord;
  readonly link: Link;
}

/**
 * Chains a record to its predecessor (OCSF `record_integrity` profile). The attestation is the line's last member and
 * the fingerprint the attestation's last; the fingerprint is SHA-256 over the line as written less the fingerprint
 * member, so it can be checked on the bytes, without agreeing on a canonical JSON.
 *
 * @param authority Key that signs the log's heads, `name+id`.
 */
export function seal(body: RecordBody, chain: string, authority: string, previous: Link | undefined): Sealed {
  const base: Omit<Attestation, 'fingerprint'> = {
    authority_uid: authority,
    chain_uid: chain,
    ...(previous === undefined
      ? {}
      : {
          prev_event: {
            uid: previous.uid,
            type_uid: previous.type_uid,
            fingerprint: fingerprintOf(previous.fingerprint),
          },
        }),
  };
  const content = toLine({ ...body, attestation_list: [base] });
  const value = hash('sha256', content, 'hex');
  const line = `${content.slice(0, -ENDING.length)}${OPENING}${value}${CLOSING}${ENDING}`;
  const record: OcsfRecord = { ...body, attestation_list: [{ ...base, fingerprint: fingerprintOf(value) }] };
  return { line, record, link: { uid: body.metadata.uid, type_uid: body.type_uid, fingerprint: value } };
}

type Json = { readonly [key: string]: unknown };

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Parses one line as a record: JSON with the members that every record has.
 *
 * @returns undefined when it is not one.
 */
export function parseRecord(line: Uint8Array): OcsfRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line));
  } catch {
    return undefined;
  }
  return isRecord(value) ? value : undefined;
}

const NUMBERS = ['class_uid', 'activity_id', 'type_uid', 'time', 'severity_id', 'status_id'];
const STRINGS = ['class_name', 'activity_name', 'severity', 'status', 'message'];

function isRecord(value: unknown): value is OcsfRecord {
  if (!isObject(value)) return false;
  if (!NUMBERS.every((name) => Number.isFinite(value[name]))) return false;
  if (!STRINGS.every((name) => typeof value[name] === 'string')) return false;
  const { metadata, unmapped, attestation_list: list } = value;
  if (!isObject(metadata) || !Number.isSafeInteger(metadata.sequence)) return false;
  if (typeof metadata.uid !== 'string' || typeof metadata.log_name !== 'string') return false;
  if (!isObject(unmapped) || !isObject(unmapped.openshell)) return false;
  const { sandbox, kind, object } = unmapped.openshell;
  if (typeof sandbox !== 'string' || typeof kind !== 'string' || typeof object !== 'string') return false;
  return Array.isArray(list) && list.length === 1 && isObject(list[0]) && typeof list[0].chain_uid === 'string';
}

/** Follows the chain over the lines of a log, from its first record. */
export class ChainChecker {
  readonly #origin: string;
  readonly #authority: string;
  #sequence = 0;
  #chain: string | undefined;
  #link: Link | undefined;

  /**
   * @param origin The log's origin.
   * @param authority The key of its heads, `name+id`.
   */
  constructor(origin: string, authority: string) {
    this.#origin = origin;
    this.#authority = authority;
  }

  /** The log's `chain_uid`, once a record was seen. */
  get chain(): string | undefined {
    return this.#chain;
  }

  /** The newest record's link. */
  get link(): Link | undefined {
    return this.#link;
  }

  /**
   * Takes the next line (without newline).
   *
   * @throws Flaw naming the first record that cannot be the one written there.
   */
  next(line: Buffer): void {
    const sequence = this.#sequence + 1;
    const bad = (reason: string, at = sequence) => new Flaw({ file: 'events.jsonl', line: at, sequence: at, reason });
    const record = parseRecord(line);
    if (record === undefined) throw bad('not an audit record');
    const found = record.metadata.sequence;
    if (found > sequence) throw bad(`record ${sequence} is missing: record ${found} stands in its place`);
    if (found < sequence) throw bad(`record ${found} stands where record ${sequence} belongs`);
    const fingerprint = SUFFIX.exec(line.toString('latin1', line.length - SUFFIX_BYTES))?.[1];
    if (fingerprint === undefined) throw bad('the record does not end in its fingerprint');
    if (fingerprint !== fingerprintOfLine(line)) throw bad('the record was altered: its fingerprint does not match');
    const [attestation] = record.attestation_list;
    const chain = this.#chain ?? attestation.chain_uid;
    const uid = `${chain}/${sequence}`;
    if (record.metadata.log_name !== this.#origin || attestation.authority_uid !== this.#authority)
      throw bad('the record is of another log');
    if (attestation.chain_uid !== chain || record.metadata.uid !== uid) throw bad('the record is of another log');
    if (record.type_uid !== record.class_uid * 100 + record.activity_id)
      throw bad('the record contradicts itself: type_uid is not class_uid × 100 + activity_id');
    if (!linksTo(attestation, this.#link))
      throw bad(`not the record that record ${sequence} was written after`, Math.max(1, sequence - 1));
    this.#sequence = sequence;
    this.#chain = chain;
    this.#link = { uid, type_uid: record.type_uid, fingerprint };
  }
}

function fingerprintOfLine(line: Buffer): string {
  return hash('sha256', Buffer.concat([line.subarray(0, line.length - SUFFIX_BYTES), Buffer.from(ENDING)]), 'hex');
}

function linksTo(attestation: Attestation, link: Link | undefined): boolean {
  const previous: unknown = attestation.prev_event;
  if (link === undefined) return previous === undefined;
  return (
    isObject(previous) &&
    previous.uid === link.uid &&
    previous.type_uid === link.type_uid &&
    isObject(previous.fingerprint) &&
    previous.fingerprint.value === link.fingerprint
  );
}
