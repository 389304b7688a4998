/**
 * The limits on what clients may do to documents, with unit and reason.
 */

/** Length of a document's name, in UTF-16 code units. It is a key, and part of a path. */
export const DOCUMENT_NAME_LENGTH_MAX = 256;

/** Size of one message of a client, in bytes: a whole document that it has been editing alone. */
export const CLIENT_MESSAGE_BYTES_MAX = 8_388_608;

/** Size of a document, in bytes as it is stored. Beyond that edits are refused. */
export const DOCUMENT_BYTES_MAX = 16_777_216;

/** Awareness: states of one document, and the size of one as text, in UTF-16 code units. */
export const AWARENESS_STATES_MAX = 4096;
export const AWARENESS_LENGTH_MAX = 16_384;

/** Bytes of messages that one client may send at a stretch, and in a second after that. */
export const CLIENT_BYTES_BURST = 33_554_432;
export const CLIENT_BYTES_PER_SECOND = 4_194_304;

/** The same in messages: far more than fingers type. */
export const CLIENT_MESSAGES_BURST = 20_000;
export const CLIENT_MESSAGES_PER_SECOND = 4000;

/** Clients of one peer at once. */
export const CLIENTS_MAX = 4096;

/** Documents that one peer has loaded at once. */
export const ROOMS_MAX = 65_536;

/** Questions of a client that wait for an answer because its edits are not durable yet. */
export const QUESTIONS_MAX = 64;

/** How long a document without clients stays loaded, in ms. */
export const IDLE_MS = 30_000;

/** Documents whose names begin so are written by their region, and are read-only for all others. */
export const SYSTEM_PREFIX = "hearsay/";

/**
 * Different writers of a document, one for each session in which somebody wrote. Yjs looks at each of them for each
 * edit, and where all have set one key, at each pair of them when the document is loaded.
 */
export const DOCUMENT_WRITERS_MAX = 16_384;

/** Types within types: more than any text has lists in lists, and far less than a stack has room for. */
export const TYPES_DEPTH_MAX = 256;

/** Size of an edit that is weighed at once, in bytes: to read it takes some ms at the most. A longer one is tried. */
export const EDIT_WEIGHED_BYTES_MAX = 32_768;

/** Work of an edit that is done at once, in structs that are touched: some ms at the most. */
export const EDIT_WEIGHT_MAX = 1_000_000;

/** How long an edit may take, in ms; one that is heavier than that is tried first, and takes as long here then. */
export const EDIT_MS_MAX = 400;

/**
 * Edits that hold the loop for longer than this count as slow, in ms; and what a client's slow edits may take at a
 * stretch, and in a second after that.
 */
export const SLOW_MS = 3;
export const CLIENT_SLOW_MS_BURST = 4000;
export const CLIENT_SLOW_MS_PER_SECOND = 100;
