/**
 * Copies of items on a disk, in an LMDB database of its own below the peer's data directory.
 *
 *   label    key  0x00                                value  [format, name, cluster]
 *   item     key  shard 0xFF item 0xFF                value  [generation, token, mark, count, from, to, bytes]
 *   part     key  shard 0xFF item 0xFF number         value  [part]
 *
 * The parts of an item are numbered `from` to `to`, without the last. Every record has a checksum. The
 * versions of all items are in memory, about 200 bytes each; contents are read when they are needed.
 *
 * It writes behind: what was written in one turn of the event loop is one transaction, and whoever waits
 * (`sync`) is called when that is on the disk. What is on its way is kept in memory and can be read.
 *
 * A disk that fails ends the peer: it may acknowledge nothing that it cannot keep.
 *
 * Rules: SPEC.md, Y3 and Y10.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { RootDatabase } from "lmdb";
import { HearsayError } from "../../core/error.ts";
import type { PeerName, ShardId } from "../../core/units.ts";
import { makeFolder } from "../../io/make-folder.ts";
import { decodeRecord, encodeRecord } from "../../io/store-records.ts";
import { DATA_FILE, refresh } from "../../io/store-refresh.ts";
import { CHANNEL_MESSAGE_BYTES_MAX } from "../../items/channels.ts";
import type { ItemStore, StoredItem } from "../../items/item-store.ts";
import type { Version } from "../../items/version.ts";

/** Where in a data directory the copies are. */
export const DOCUMENTS_FOLDER = "documents";

const FORMAT = 1;
const LABEL_KEY = Uint8Array.of(0);
const SEPARATOR = 0xff;
const NUMBER_BYTES = 4;

interface Copy extends StoredItem {
  /** The numbers of its parts: from, and up to the last without it. */
  readonly from: number;
  readonly to: number;
}

export interface LmdbItemStoreOptions {
  /** The peer's data directory. */
  readonly directory: string;
  /** Where in it the copies are. Default "documents". */
  readonly folder?: string;
  readonly name: PeerName;
  readonly cluster: string;
  /** The disk has failed: the peer must end. */
  readonly onFault: (error: unknown) => void;
}

type Writes = Map<string, { readonly key: Buffer; readonly value: Uint8Array | undefined }>;

const NOTHING: ReadonlyMap<string, StoredItem> = new Map();

export class LmdbItemStore implements ItemStore {
  readonly #options: LmdbItemStoreOptions;
  readonly #database: RootDatabase<Uint8Array, Uint8Array>;
  readonly #shards = new Map<ShardId, Map<string, Copy>>();
  /** What is to be written, by key as text; undefined for what is to go. */
  #dirty: Writes = new Map();
  /** What is being written. */
  #writing: Writes = new Map();
  #waiters: (() => void)[] = [];
  #isFlushDue = false;
  #flushing: Promise<void> | undefined;
  #isClosed = false;

  /** Opens it. Rejects with `STORE_LOCKED`, `STORE_CORRUPT` or `STORE_FAILED`. */
  static async open(options: LmdbItemStoreOptions): Promise<LmdbItemStore> {
    const path = join(options.directory, options.folder ?? DOCUMENTS_FOLDER);
    try {
      await makeFolder(path);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new HearsayError("STORE_FAILED", `Cannot open ${path}: ${why}`, { cause: error });
    }
    const { open } = await import("lmdb");
    const size = await stat(join(path, DATA_FILE)).then(
      ({ size: bytes }) => bytes,
      () => 0,
    );
    const obstacle = size === 0 ? undefined : await refresh(path);
    if (obstacle !== undefined) {
      throw "pid" in obstacle
        ? new HearsayError(
            "STORE_LOCKED",
            `Cannot open ${path}: process ${obstacle.pid} has it open`,
          )
        : corrupt(path, obstacle.damage);
    }
    const database = open<Uint8Array, Uint8Array>({
      ...{ path, keyEncoding: "binary", encoding: "binary" },
      ...{ overlappingSync: false, eventTurnBatching: false },
    });
    const store = new LmdbItemStore(options, database);
    try {
      store.#load(path);
      await store.#flush();
      return store;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  private constructor(
    options: LmdbItemStoreOptions,
    database: RootDatabase<Uint8Array, Uint8Array>,
  ) {
    this.#options = options;
    this.#database = database;
  }

  shards(): Iterable<ShardId> {
    return this.#shards.keys();
  }

  items(shard: ShardId): ReadonlyMap<string, StoredItem> {
    return this.#shards.get(shard) ?? NOTHING;
  }

  read(shard: ShardId, item: string): Uint8Array[] {
    const { from = 0, to = 0 } = this.#shards.get(shard)?.get(item) ?? {};
    const parts: Uint8Array[] = [];
    for (let number = from; number < to; number += 1) {
      const key = partKey(shard, item, number);
      const id = idOf(key);
      const record =
        (this.#dirty.get(id) ?? this.#writing.get(id))?.value ?? this.#database.get(key);
      const [part] = (record && decodeRecord(key, record, CHANNEL_MESSAGE_BYTES_MAX)) ?? [];
      if (!(part instanceof Uint8Array)) {
        throw corrupt(this.#options.directory, `a part of "${item}" is not what was written`);
      }
      parts.push(part);
    }
    return parts;
  }

  append(shard: ShardId, item: string, version: Version, part: Uint8Array): void {
    const { from = 0, to = 0, bytes = 0 } = this.#shards.get(shard)?.get(item) ?? {};
    this.#putPart(shard, item, to, part);
    this.#set(shard, item, version, { from, to: to + 1, bytes: bytes + part.length });
  }

  replace(shard: ShardId, item: string, version: Version, parts: readonly Uint8Array[]): void {
    const start = this.#dropParts(shard, item);
    for (const [index, part] of parts.entries()) this.#putPart(shard, item, start + index, part);
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    this.#set(shard, item, version, { from: start, to: start + parts.length, bytes });
  }

  remove(shard: ShardId, item: string): void {
    this.#dropParts(shard, item);
    this.#write(itemKey(shard, item), undefined);
    const items = this.#shards.get(shard);
    items?.delete(item);
    if (items?.size === 0) this.#shards.delete(shard);
  }

  sync(done: () => void): void {
    if (this.#dirty.size === 0 && this.#flushing === undefined) done();
    else this.#waiters.push(done);
  }

  /** Waits for what is under way and lets go of the disk. */
  async close(): Promise<void> {
    await this.#flushing?.catch(() => {}); // Whoever it concerns has been told.
    this.#isClosed = true;
    await this.#flush().catch(() => {});
    await this.#database.close();
  }

  #putPart(shard: ShardId, item: string, number: number, part: Uint8Array): void {
    const key = partKey(shard, item, number);
    this.#write(key, encodeRecord(key, [part]));
  }

  /** Returns the number after the last part. */
  #dropParts(shard: ShardId, item: string): number {
    const { from = 0, to = 0 } = this.#shards.get(shard)?.get(item) ?? {};
    for (let number = from; number < to; number += 1) {
      this.#write(partKey(shard, item, number), undefined);
    }
    return to;
  }

  #set(
    shard: ShardId,
    item: string,
    version: Version,
    { from, to, bytes }: Pick<Copy, "from" | "to" | "bytes">,
  ): void {
    const items = this.#shards.get(shard) ?? new Map<string, Copy>();
    this.#shards.set(shard, items);
    items.set(item, { version, from, to, bytes, parts: to - from });
    const { generation, token, mark, count } = version;
    const key = itemKey(shard, item);
    this.#write(key, encodeRecord(key, [generation, token, mark, count, from, to, bytes]));
  }

  #write(key: Buffer, value: Uint8Array | undefined): void {
    this.#dirty.set(idOf(key), { key, value });
    if (this.#isFlushDue || this.#flushing !== undefined) return;
    this.#isFlushDue = true;
    setImmediate(() => {
      this.#isFlushDue = false;
      if (!this.#isClosed) void this.#flushAll();
    });
  }

  /** Until nothing is dirty: what comes meanwhile is the next transaction. */
  async #flushAll(): Promise<void> {
    while (this.#flushing === undefined && (this.#dirty.size > 0 || this.#waiters.length > 0)) {
      this.#flushing = this.#flush();
      try {
        await this.#flushing;
      } catch (error) {
        const { directory } = this.#options;
        const message = `Cannot write to the documents in ${directory}: ${String(error)}`;
        this.#options.onFault(new HearsayError("STORE_FAILED", message, { cause: error }));
        return; // Nothing is written, or acknowledged, any more.
      }
      this.#flushing = undefined;
    }
  }

  async #flush(): Promise<void> {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#writing = this.#dirty;
    this.#dirty = new Map();
    if (this.#writing.size > 0) {
      await this.#database.batch(() => {
        for (const { key, value } of this.#writing.values()) {
          const written =
            value === undefined ? this.#database.remove(key) : this.#database.put(key, value);
          written.catch(() => {}); // The batch speaks for all of them.
        }
      });
      this.#writing = new Map();
    }
    for (const done of waiters) done();
  }

  #load(path: string): void {
    const { name, cluster } = this.#options;
    const label = this.#database.get(LABEL_KEY);
    const fields = label && decodeRecord(LABEL_KEY, label);
    if (label !== undefined && (fields?.[1] !== name || fields[2] !== cluster)) {
      throw new HearsayError("STORE_FAILED", `Cannot open ${path}: it is another peer's`);
    }
    this.#write(Buffer.from(LABEL_KEY), encodeRecord(LABEL_KEY, [FORMAT, name, cluster]));
    for (const { key, value } of this.#database.getRange({})) {
      if (key.length === 1) continue;
      const place = readItemKey(key);
      if (place === undefined) continue; // A part.
      const read = decodeRecord(key, value);
      if (read?.length !== 7 || !read.every((field) => Number.isSafeInteger(field))) {
        throw corrupt(path, `"${place.item}" is not what was written`);
      }
      const [generation, token, mark, count, from, to, bytes] = read as number[] as [
        ...[number, number, number, number, number, number, number],
      ];
      const items = this.#shards.get(place.shard) ?? new Map<string, Copy>();
      this.#shards.set(place.shard, items);
      const version = { generation, token, mark, count };
      items.set(place.item, { version, from, to, bytes, parts: to - from });
    }
  }
}

function corrupt(path: string, damage: string): HearsayError {
  const advice = "hearsay repair sets it aside, and other peers fill an empty one";
  return new HearsayError(
    "STORE_CORRUPT",
    `Cannot use the documents in ${path}: ${damage}; ${advice}`,
  );
}

function itemKey(shard: ShardId, item: string): Buffer {
  const separator = Uint8Array.of(SEPARATOR);
  return Buffer.concat([Buffer.from(shard), separator, Buffer.from(item), separator]);
}

function partKey(shard: ShardId, item: string, number: number): Buffer {
  const place = Buffer.alloc(NUMBER_BYTES);
  place.writeUInt32BE(number);
  return Buffer.concat([itemKey(shard, item), place]);
}

function readItemKey(key: Uint8Array): { shard: ShardId; item: string } | undefined {
  const end = key.indexOf(SEPARATOR);
  if (key.at(-1) !== SEPARATOR || key.indexOf(SEPARATOR, end + 1) !== key.length - 1)
    return undefined;
  const bytes = Buffer.from(key);
  return {
    shard: bytes.toString("utf8", 0, end),
    item: bytes.toString("utf8", end + 1, key.length - 1),
  };
}

const idOf = (key: Buffer): string => key.toString("latin1");
