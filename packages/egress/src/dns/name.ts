import { isHostName, normaliseHost } from '@nemoclaw/policy';

/** The canonical form of a host name, as the policy compares it. Undefined for what is none, and for an address. */
export function canonicalName(text: string): string | undefined {
  const name = normaliseHost(text);
  return isHostName(name) ? name : undefined;
}

/** `localhost` and names below it are the sandbox's own loopback (RFC 6761 section 6.3). */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}
