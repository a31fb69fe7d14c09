import { canonicalAddress } from '../address/classify.ts';
import { MAX_NAMES } from '../limits.ts';

/** First address of 198.18.0.0/15 (RFC 2544): never routed, and used by nobody inside a sandbox. */
const V4_BASE = ((198 << 24) | (18 << 16)) >>> 0;
const V4_SIZE = 1 << 17;
/** A unique local /64 (RFC 4193); its 40 global bits spell a word. */
const V6_PREFIX = 'fd6e:656d:6f63:6c61:';

export interface PoolAddresses {
  readonly v4: string;
  readonly v6: string;
}

/**
 * Gives every name a private IPv4 and IPv6 address and knows the name again by either. An address belongs to one name
 * for the life of the pool and is never given to another, so a cached answer cannot come to mean something else.
 */
export class NamePool {
  readonly #capacity: number;
  readonly #indexes = new Map<string, number>();
  readonly #names: string[] = [];

  constructor(capacity: number = MAX_NAMES) {
    // Index 0 stands for the network address and stays free.
    this.#capacity = Math.min(capacity, V4_SIZE - 2);
  }

  /** Number of names given an address so far. */
  get size(): number {
    return this.#names.length;
  }

  /** The addresses of a canonical name, given on first use. Undefined when the pool is exhausted. */
  addresses(name: string): PoolAddresses | undefined {
    let index = this.#indexes.get(name);
    if (index === undefined) {
      if (this.#names.length >= this.#capacity) return undefined;
      index = this.#names.push(name);
      this.#indexes.set(name, index);
    }
    return { v4: v4(index), v6: v6(index) };
  }

  /**
   * The name behind a destination. `undefined`: not an address of the pool at all; `null`: one that the pool has given
   * to nobody.
   */
  nameOf(text: string): string | null | undefined {
    const address = canonicalAddress(text);
    if (address === undefined) return undefined;
    const index = address.includes(':') ? indexOfV6(address) : indexOfV4(address);
    if (index === undefined) return undefined;
    return this.#names[index - 1] ?? null;
  }
}

function v4(index: number): string {
  const value = V4_BASE + index;
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function v6(index: number): string {
  return canonicalAddress(`${V6_PREFIX}0:0:${(index >>> 16).toString(16)}:${(index & 0xffff).toString(16)}`) ?? '';
}

function indexOfV4(address: string): number | undefined {
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const index = value - V4_BASE;
  return index >= 0 && index < V4_SIZE ? index : undefined;
}

function indexOfV6(address: string): number | undefined {
  if (!address.startsWith(V6_PREFIX)) return undefined;
  // Within the prefix the canonical form is unique: only the spelling of the index itself is the pool's.
  const tail = address.slice(V6_PREFIX.length).split(':').filter(Boolean);
  const [low = '0', high = '0'] = tail.reverse();
  const index = Number.parseInt(high, 16) * 0x10000 + Number.parseInt(low, 16);
  return v6(index) === address ? index : -1;
}
