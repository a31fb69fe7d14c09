/** Letters, digits, hyphens and underscores (RFC 2181 section 11 allows more; no host name needs it). */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const ADDRESS_LIKE = /^[0-9.]+$/;

/**
 * The canonical form of a host name: lower case, no trailing dot, labels of 1 to 63 of `a-z0-9_-`, at most 253
 * characters (RFC 1035 section 2.3). Undefined for anything else, and for what could be read as an IPv4 address.
 */
export function canonicalName(text: string): string | undefined {
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  if (name.length === 0 || name.length > 253 || ADDRESS_LIKE.test(name)) return undefined;
  return name.split('.').every((label) => LABEL.test(label)) ? name : undefined;
}

/** `localhost` and names below it are the sandbox's own loopback (RFC 6761 section 6.3). */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}
