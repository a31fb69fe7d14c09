import type { Decision, DnsQuery } from '@nemoclaw/policy';
import { permits } from '@nemoclaw/policy';
import packet, { type DecodedPacket } from 'dns-packet';
import { DNS_TTL, MAX_RECORDED_QUESTIONS } from '../limits.ts';
import { ownDenial, type Recorder } from '../record.ts';
import { canonicalName, isLocalhost } from './name.ts';
import type { NamePool, PoolAddresses } from './pool.ts';

const HEADER = 12;
const CODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
type Code = keyof typeof CODES;
const LOOPBACK: PoolAddresses = { v4: '127.0.0.1', v6: '::1' };

/**
 * Answers DNS questions (RFC 1035) from the pool alone: every valid name has an A and an AAAA record, and nothing of
 * any other type. Nothing is asked of the outside, so a name carries no data out until a connection to it is allowed.
 */
export class Resolver {
  readonly #recorder: Recorder;
  readonly #pool: NamePool;
  readonly #decisions = new Map<string, boolean>();
  #unrecorded = 0;
  #exhausted = false;

  constructor(recorder: Recorder, pool: NamePool) {
    this.#recorder = recorder;
    this.#pool = pool;
  }

  /** Questions that came after the bound on single records. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  /** The response to a message; undefined when it deserves none (not a question, or not even a header). */
  respond(message: Buffer): Buffer | undefined {
    if (message.length < HEADER || (message.readUInt16BE(2) & 0x8000) !== 0) return undefined;
    if ((message.readUInt16BE(2) & 0x7800) !== 0) return bare(message, 'NOTIMP');
    // One question, no answers; an OPT record (EDNS) may follow and is not answered, which says that we have no EDNS.
    if (message.readUInt16BE(4) !== 1 || message.readUInt16BE(6) !== 0 || message.readUInt16BE(8) !== 0) {
      return bare(message, 'FORMERR');
    }
    let query: DecodedPacket;
    try {
      query = packet.decode(message);
    } catch {
      return bare(message, 'FORMERR');
    }
    const question = query.questions?.[0];
    if (!question) return bare(message, 'FORMERR');
    try {
      return this.#answer(message, query, question);
    } catch {
      // Not written down, not answered.
      return bare(message, 'SERVFAIL');
    }
  }

  #answer(message: Buffer, query: DecodedPacket, question: packet.Question): Buffer {
    const name = canonicalName(question.name);
    if (name === undefined) return bare(message, 'NXDOMAIN');
    if (question.class !== undefined && question.class !== 'IN') return reply(query, question, 'NOTIMP');
    if (!this.#permitted(name, question.type)) return reply(query, question, 'NOERROR');
    const addresses = isLocalhost(name) ? LOOPBACK : this.#pool.addresses(name);
    if (!addresses) {
      this.#reportExhaustion();
      return reply(query, question, 'SERVFAIL');
    }
    return reply(query, question, 'NOERROR', question.type === 'A' ? addresses.v4 : addresses.v6);
  }

  /** Decides and records a question once per name and type; a flood of new ones is only counted after a bound. */
  #permitted(name: string, type: string): boolean {
    const key = `${type} ${name}`;
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const action: DnsQuery = { kind: 'dns.query', subject: { sandbox: this.#recorder.sandbox }, name, type };
    const decision = this.#decide(action);
    const permitted = permits(decision);
    if (this.#decisions.size < MAX_RECORDED_QUESTIONS) {
      this.#recorder.decision(this.#recorder.nextCorrelation(), action, decision);
      this.#decisions.set(key, permitted);
    } else {
      if (this.#unrecorded === 0) this.#reportFlood();
      this.#unrecorded += 1;
    }
    return permitted;
  }

  #decide(action: DnsQuery): Decision {
    if (action.type === 'A' || action.type === 'AAAA') return this.#recorder.decide(action);
    return ownDenial('dns.type', `DNS here answers addresses only; a question for ${action.type} records goes nowhere`);
  }

  #reportFlood(): void {
    this.#recorder.finding(
      'DNS questions are no longer recorded one by one',
      'medium',
      `more than ${MAX_RECORDED_QUESTIONS} different questions were asked; look for a program that generates names`,
    );
  }

  #reportExhaustion(): void {
    if (this.#exhausted) return;
    this.#recorder.finding(
      'DNS names exhausted',
      'high',
      `${this.#pool.size} different names were asked for and no address is left; restart the sandbox to start afresh`,
    );
    this.#exhausted = true;
  }
}

/** A header that repeats the question's id and says no more. */
function bare(message: Buffer, code: Code): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(message.readUInt16BE(0), 0);
  header.writeUInt16BE(0x8080 | (message.readUInt16BE(2) & 0x7900) | CODES[code], 2);
  return header;
}

function reply(query: DecodedPacket, question: packet.Question, code: Code, address?: string): Buffer {
  const type = address?.includes(':') ? 'AAAA' : 'A';
  return packet.encode({
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: packet.RECURSION_AVAILABLE | ((query.flags ?? 0) & packet.RECURSION_DESIRED) | CODES[code],
    questions: [question],
    answers: address === undefined ? [] : [{ type, name: question.name, ttl: DNS_TTL, data: address }],
  });
}
