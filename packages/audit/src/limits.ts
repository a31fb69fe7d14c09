/** Every bound of this package. What happens at each stands beside it. */

/** Bytes of one record's line, without its newline. Writing: fields are shortened until it fits. Reading: refused. */
export const RECORD_BYTES = 65_536;
/**
 * Characters of one string in a record (a command line, a tool call's arguments as JSON text). Longer: shortened, with
 * a marker that says how long it was; shorter still where the record would not fit otherwise.
 */
export const FIELD_CHARACTERS = 8_192;
/** Values visited in a tool call's arguments. More: the rest is replaced by a marker. */
export const ARGUMENTS_VALUES = 2_000;
/** Nesting of a tool call's arguments. Deeper: replaced by a marker. */
export const ARGUMENTS_DEPTH = 16;
/** Elements of one list in a record (offered tools, facts, command-line words). More: a marker in their place. */
export const LIST_ELEMENTS = 128;
/** Ancestors recorded of a process. More: a marker in their place. */
export const ANCESTORS = 32;
/** Processes recorded besides the acting one, when several hold a socket. More: only counted. */
export const OTHER_PROCESSES = 16;
/**
 * Characters that the masker looks at in one text, command line or set of arguments. What lies beyond is left out,
 * with a marker.
 */
export const MASK_CHARACTERS = 32_768;
/** Bytes of one signed note, and of `key.pub`. Larger: refused. The note format asks for room for 16 signatures. */
export const NOTE_BYTES = 16_384;
/** Bytes of a private key file. Larger: refused. */
export const KEY_FILE_BYTES = 16_384;
/** Records between two signed tree heads, at most. */
export const CHECKPOINT_RECORDS = 256;
/** Milliseconds that a record stays without a signed tree head, at most. */
export const CHECKPOINT_MILLISECONDS = 5_000;
