/**
 * Writing DER (X.690), as much as a certificate needs. The general libraries take over 100 ms to load, which every
 * start of a sandbox would pay.
 */

function encode(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80
      ? [length]
      : length < 0x100
        ? [0x81, length]
        : length < 0x10000
          ? [0x82, length >> 8, length & 0xff]
          : [];
  if (size.length === 0) throw new RangeError('too long for a certificate');
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

export const sequence = (...parts: readonly Uint8Array[]) => encode(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]) => encode(0x31, ...parts);
export const octets = (content: Uint8Array) => encode(0x04, content);
export const utf8 = (text: string) => encode(0x0c, Buffer.from(text));
export const boolean = (value: boolean) => encode(0x01, Buffer.from([value ? 0xff : 0]));

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const trimmed = bytes.subarray(start);
  const negative = ((trimmed[0] ?? 0) & 0x80) !== 0;
  return encode(0x02, Buffer.from(negative ? [0] : []), trimmed);
}

/** Bits in whole bytes, less `unused` at the end. */
export const bits = (content: Uint8Array, unused = 0) => encode(0x03, Buffer.from([unused]), content);

/** `[n]`: constructed when it wraps other values, primitive when it replaces a tag (`IMPLICIT`). */
export const wrapped = (n: number, ...parts: readonly Uint8Array[]) => encode(0xa0 | n, ...parts);
export const implicit = (n: number, content: Uint8Array) => encode(0x80 | n, content);

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return encode(0x06, Buffer.from(bytes));
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050 ? encode(0x17, Buffer.from(digits.slice(2))) : encode(0x18, Buffer.from(digits));
}
