/** RFC 9110, RFC 5789 (PATCH), WebDAV and its extensions. CONNECT is a connection, not a request. */
export const METHODS: readonly string[] = [
  ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY', 'PURGE'],
  ...['PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK', 'REPORT', 'SEARCH'],
];

export function isMethod(text: string): boolean {
  return METHODS.includes(text);
}

/** The methods of each `access`; undefined is every method. */
export const ACCESS_METHODS = {
  'read-only': ['GET', 'HEAD', 'OPTIONS'],
  'read-write': ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH'],
  full: undefined,
} as const satisfies Record<string, readonly string[] | undefined>;
