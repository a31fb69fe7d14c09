/** Every bound of the model plane. What happens at each is said beside it; the list is repeated in docs/limits.md. */

/** Body of one request of the agent. More: 413. */
export const MAX_REQUEST_BYTES = 10 * 1024 * 1024;
/** Nesting of any JSON taken from the agent or the provider. Deeper: 400 (request), 502 (answer), refused (tool call). */
export const MAX_JSON_DEPTH = 64;
/** Messages in a request. More: 400. */
export const MAX_MESSAGES = 10_000;
/** Tools offered in a request. More: 400. */
export const MAX_TOOLS = 1024;
/** Characters of a tool or model name. Longer: 400 in a request, refused in a tool call. */
export const MAX_NAME_CHARS = 256;
/** Requests in flight for one plane. More: 429. */
export const MAX_CONCURRENT_REQUESTS = 32;
/** Bytes of all answers that one request of the agent causes, follow-up rounds included. More: the answer fails. */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** Characters of one server-sent event. More: the answer fails. */
export const MAX_EVENT_CHARS = 4 * 1024 * 1024;
/** Bytes of a provider's error body that are read for its message. The rest is discarded. */
export const MAX_ERROR_BYTES = 64 * 1024;
/** Characters of an error message that reach the agent. The rest is cut. */
export const MAX_ERROR_CHARS = 2000;
/** Tool calls in one answer. More: the answer fails. */
export const MAX_TOOL_CALLS = 128;
/** Characters of one tool call's arguments. More: the call is refused. */
export const MAX_ARGUMENT_CHARS = 1024 * 1024;
/** Meta-tools wrapped in one another. More: the call is refused. */
export const MAX_UNWRAP_DEPTH = 4;
/** Requests to the provider for one request of the agent. After the last, a text of ours ends the answer. */
export const MAX_ROUNDS = 8;
/** Released calls whose results are awaited. The oldest is forgotten: its outcome goes unrecorded. */
export const MAX_RELEASED_CALLS = 4096;
/** Refused calls kept for the model's history, in answers and in characters. The oldest are forgotten. */
export const MAX_REMEMBERED_ANSWERS = 1024;
export const MAX_REMEMBERED_CHARS = 16 * 1024 * 1024;

/** Milliseconds to connect to the provider. Longer: 502. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** Milliseconds until the provider's first byte: a local model may have to be loaded first. Longer: 504. */
export const HEADERS_TIMEOUT_MS = 600_000;
/** Milliseconds of silence within an answer. Longer: the answer fails. */
export const BODY_IDLE_TIMEOUT_MS = 300_000;
