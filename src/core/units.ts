/**
 * The units and names that must not be mixed up.
 *
 * A flavour is a phantom, optional property: a plain number or string is accepted where one is
 * wanted, but an `Instant` is refused where wall-clock milliseconds belong, and a region's name
 * where a shard's id belongs. Nothing of it exists at run time.
 */
declare const flavour: unique symbol;
type Flavoured<T, Name extends string> = T & { readonly [flavour]?: Name };

/** A moment on the monotonic clock of one process, in ms. Comparable only within that process. */
export type Instant = Flavoured<number, "instant">;

/** A moment on a wall clock: ms since the Unix epoch. May jump, also backwards. */
export type WallMs = Flavoured<number, "wall-ms">;

/** A hybrid timestamp [C1]: ms since 2024-01-01T00:00:00Z times 4096, plus a 12-bit counter. */
export type Timestamp = number;

/** Orders the entries of one key: hybrid time, then the incarnation that wrote it. */
export interface Stamp {
  readonly time: Timestamp;
  readonly writer: string;
}

/** A shard's id: `shard-0`, `shard-1`, ... or `shard-` plus 16 hex digits. */
export type ShardId = Flavoured<string, "shard-id">;

/** The name of a peer, and of the region it hosts shards in. Survives restarts. */
export type PeerName = Flavoured<string, "peer-name">;

/** One life of a peer: `<start in ms, base 36>-<unique id>`. Does not survive a restart. */
export type Incarnation = Flavoured<string, "incarnation">;

/** One open WebSocket between two peers, numbered by the process that holds it. */
export type LinkId = Flavoured<number, "link-id">;

/** Where a peer listens: `host:port`. */
export type Address = Flavoured<string, "address">;

/** What names of peers and shards look like. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Orders strings by UTF-16 code units, the same on every machine, unlike `localeCompare`. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
