/**
 * The sandbox's own addresses on `lo`: the source of every connection that leaves. They are the dummy addresses that
 * the registries set aside (RFC 7600, RFC 9780), so they are never a destination that anybody means.
 */
export const SANDBOX_IPV4_BYTES = Uint8Array.of(192, 0, 0, 8);
/** 100:0:0:1::1 */
export const SANDBOX_IPV6_BYTES = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1);

/** Where intercepted connections arrive; outside the range of ephemeral ports. Nothing inside can dial it. */
export const INTERCEPT_PORT = 64129;
export const DNS_PORT = 53;
/** The NFLOG group of refused datagrams, and how much of each is copied out: the headers. */
export const LOG_GROUP = 5;
export const LOG_BYTES = 64;
