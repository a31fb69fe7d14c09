import { hash } from 'node:crypto';

/** The root of the empty tree: SHA-256 of nothing (RFC 6962, section 2.1). */
export const EMPTY_ROOT: Buffer = hash('sha256', '', 'buffer');

const LEAF_PREFIX = Buffer.of(0x00);
const NODE_PREFIX = Buffer.of(0x01);

/** Hash of a leaf: SHA-256(0x00 || data) (RFC 6962, section 2.1). */
export function leafHash(data: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([LEAF_PREFIX, data]), 'buffer');
}

/** Hash of an inner node: SHA-256(0x01 || left || right) (RFC 6962, section 2.1). */
function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([NODE_PREFIX, left, right]), 'buffer');
}

/**
 * An append-only RFC 6962 Merkle tree that keeps only its compact range: the roots of the perfect subtrees that the
 * binary digits of its size name, at most 53 hashes. Appending is amortised O(1), the root O(log n).
 */
export class MerkleTree {
  #size = 0;
  /** Roots of the perfect subtrees, largest first. */
  readonly #range: Buffer[] = [];

  /** Number of leaves. */
  get size(): number {
    return this.#size;
  }

  /** Adds a leaf by its hash (see {@link leafHash}). */
  append(leaf: Buffer): void {
    let node = leaf;
    // Each trailing one bit of the size is a subtree as large as the one just completed: merge it.
    for (let rest = this.#size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
      const left = this.#range.pop();
      if (left === undefined) throw new Error('compact range shorter than its size says');
      node = nodeHash(left, node);
    }
    this.#range.push(node);
    this.#size += 1;
  }

  /** The Merkle tree hash of all leaves so far. */
  root(): Buffer {
    return (
      this.#range.reduceRight<Buffer | undefined>(
        (right, left) => (right === undefined ? left : nodeHash(left, right)),
        undefined,
      ) ?? EMPTY_ROOT
    );
  }
}
