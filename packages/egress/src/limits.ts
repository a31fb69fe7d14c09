/** Every bound of the network plane. `docs/limits.md` lists them with what happens at each. */

/** Connections open at once from one sandbox; the next is reset. */
export const MAX_CONNECTIONS = 1024;
/** Bytes looked at, and the time waited for them, to learn what a denied connection speaks. */
export const PEEK_BYTES = 4096;
export const PEEK_MS = 300;
/** A denied connection that is being told why is cut after this long. */
export const DENIAL_MS = 10_000;
/** A client must finish its TLS handshake in this time. */
export const HANDSHAKE_MS = 15_000;

/** Characters of the error kept when a connection fails inside the plane. */
export const MAX_FAILURE_TEXT = 200;

/** Request line and header fields together. */
export const MAX_HEADER_BYTES = 32 * 1024;
/** Request target (path and query). */
export const MAX_TARGET_BYTES = 8192;
/** From the first byte of a request (or the accept) to the end of its header. */
export const HEADERS_MS = 30_000;
/** An inspected connection may rest this long between requests. */
export const KEEP_ALIVE_MS = 120_000;
/** Requests a client may have sent ahead of their answers on one connection. */
export const MAX_PIPELINED = 32;
/** Body bytes of a refused request that are read and thrown away to keep its connection usable. */
export const MAX_DRAINED_BYTES = 1024 * 1024;

/** A connection without a byte in either direction is closed. */
export const IDLE_MS = 2 * 60 * 60_000;
/** Dialling the destination, and the TLS handshake with it, each. */
export const DIAL_MS = 15_000;
/** Asking the host's resolver. */
export const RESOLVE_MS = 10_000;
/** Addresses of one name that are considered; more refuses the name. */
export const MAX_ADDRESSES = 64;

/** A DNS question by UDP, and one by TCP. */
export const MAX_DNS_UDP_BYTES = 512;
export const MAX_DNS_TCP_BYTES = 4096;
/** Bytes of questions by UDP that may wait to be read; more are lost, and asked again. The kernel may give less. */
export const DNS_RECEIVE_BUFFER = 4 * 1024 * 1024;
/** Questions on one DNS-over-TCP connection, and its idle time. */
export const MAX_DNS_TCP_QUESTIONS = 256;
export const DNS_TCP_IDLE_MS = 10_000;
/** Names given an address in the life of a sandbox; the next gets SERVFAIL. */
export const MAX_NAMES = 32_768;
/** Distinct DNS questions recorded one by one; later ones are only counted. */
export const MAX_RECORDED_QUESTIONS = 4096;
/** Seconds a DNS answer may be cached. The mapping itself never changes. */
export const DNS_TTL = 30;
/** Distinct refused datagram destinations recorded one by one; later ones are only counted. */
export const MAX_RECORDED_DATAGRAMS = 4096;

/** Certificates kept for reuse. */
export const MAX_CACHED_CERTIFICATES = 256;

/** Process identity: processes and descriptors looked at, ancestors, arguments and their bytes reported. */
export const MAX_PROCESSES = 4096;
export const MAX_DESCRIPTORS = 65_536;
export const MAX_ANCESTORS = 32;
export const MAX_ARGUMENTS = 32;
export const MAX_COMMAND_LINE_BYTES = 2048;
/** Looks at the process tree until one shows no process that was not looked at; then the attempt has failed. */
export const MAX_TREE_WALKS = 5;
/** Attempts to find the holder of a connection, and the pause between them. */
export const IDENTIFY_ATTEMPTS = 10;
export const IDENTIFY_PAUSE_MS = 5;
