/** Builds batches of netlink messages (netlink(7)): a header, a fixed part, then attributes that may nest. */

const HEADER_BYTES = 16;
const REQUEST = 0x1;
const ACK = 0x4;
export const CREATE = 0x400;
export const EXCLUSIVE = 0x200;
export const APPEND = 0x800;
const NESTED = 0x8000;

/** An attribute: its type and its bytes, or the attributes nested in it. */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]];

export const u8 = (value: number): Uint8Array => Uint8Array.of(value);
export const be16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);
export const be32 = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
export const le32 = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
export const text = (value: string): Uint8Array => Buffer.from(`${value}\0`);

function padded(bytes: Uint8Array): Uint8Array {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}

function encodeAttribute([type, value]: Attribute): Uint8Array {
  const nested = !(value instanceof Uint8Array);
  const body = nested ? encodeAttributes(value) : value;
  const header = Buffer.alloc(4);
  header.writeUInt16LE(4 + body.length, 0);
  header.writeUInt16LE(nested ? type | NESTED : type, 2);
  return padded(Buffer.concat([header, body]));
}

function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  return Buffer.concat(attributes.map(encodeAttribute));
}

export class Batch {
  readonly #messages: Uint8Array[] = [];
  #acks = 0;

  /** Appends a request. Every one that is `acknowledged` is answered by the kernel, in order. */
  add(
    type: number,
    options: { flags?: number; acknowledged?: boolean; fixed: Uint8Array; attributes?: readonly Attribute[] },
  ): void {
    const acknowledged = options.acknowledged ?? true;
    const body = Buffer.concat([padded(options.fixed), encodeAttributes(options.attributes ?? [])]);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(HEADER_BYTES + body.length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(REQUEST | (acknowledged ? ACK : 0) | (options.flags ?? 0), 6);
    header.writeUInt32LE(this.#messages.length + 1, 8);
    this.#messages.push(header, body);
    if (acknowledged) this.#acks++;
  }

  get acks(): number {
    return this.#acks;
  }
  get bytes(): Uint8Array {
    return Buffer.concat(this.#messages);
  }
}
