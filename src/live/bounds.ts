/**
 * The limits of live queries, in one place, with unit and reason [S4].
 */

/** Rows of one window. Who needs more pages through them with a cursor. */
export const LIMIT_MAX = 1000;

/** Rows of a window whose query does not say how many. */
export const LIMIT_DEFAULT = 100;

/** Rows that a streamed query may match: its set is kept whole by the region and by gateways. */
export const STREAMED_ROWS_MAX = 10_000;

/** Conditions of one query, those of its or-groups included. */
export const CONDITIONS_MAX = 32;

/** Values of one `in` or `notin`. */
export const VALUES_MAX = 256;

/** Columns that one query sorts by. */
export const SORT_COLUMNS_MAX = 8;

/** Length of a pattern of `like`, in UTF-16 code units: nine words of states for each character read. */
export const PATTERN_LENGTH_MAX = 256;

/** Length of an id of a row, in UTF-16 code units. */
export const ROW_ID_LENGTH_MAX = 256;

/** Length of a tenant's and of an entity's name, in UTF-16 code units: both are in the name of an item. */
export const NAME_LENGTH_MAX = 120;

/** Columns that one entity may have. */
export const COLUMNS_MAX = 64;

/** Entities that are declared. */
export const ENTITIES_MAX = 1024;

/** Length of all texts of one row, in UTF-16 code units. A frame of rows holds several. */
export const ROW_LENGTH_MAX = 65_536;

/** Length of a cursor as text, in UTF-16 code units: the values of eight columns and an id. */
export const CURSOR_LENGTH_MAX = 8192;

/** Length of one value that a query compares with, in UTF-16 code units. */
export const VALUE_LENGTH_MAX = 4096;

/** Shapes that gateways have subscribed to at one region. A view of ten rows takes about 4 kB. */
export const REGION_SUBSCRIPTIONS_MAX = 131_072;

/** Shapes that one gateway follows at once. */
export const GATEWAY_SHAPES_MAX = 65_536;

/** Subscriptions of clients at one gateway. */
export const GATEWAY_CLIENTS_MAX = 262_144;

/** Subscriptions that a gateway has asked one region for and that have no rows yet. */
export const SUBSCRIBING_MAX = 64;

/**
 * Length of what goes into one post, about, in UTF-16 code units. With one more row and three bytes for each
 * it is below the size of a message between peers.
 */
export const POST_LENGTH_TARGET = 65_536;

/** Length of what waits for one gateway. What is beyond it is left out, and made good by all rows. */
export const WAITING_LENGTH_MAX = 1_048_576;

/** Batches of one shape that a gateway remembers for those who come back. */
export const HISTORY_MAX = 64;

/** Batches that wait for one client. Beyond it they are left out, and made good by all rows. */
export const CLIENT_BATCHES_MAX = 1024;
