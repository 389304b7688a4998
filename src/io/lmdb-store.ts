/**
 * A store on a disk, in an LMDB database of its own below the peer's data directory.
 *
 * What a step asks for is one transaction, and the next effect waits until it is on the disk; several
 * steps that wait at once arrive here as one (`core/effect-queue.ts`). LMDB never overwrites a page that
 * the last transaction can see, so a process or a machine that stops in the middle loses that
 * transaction and nothing else.
 *
 * A directory belongs to one process, of one peer. LMDB notes its readers in a file of locks that the
 * system lets go of when a process ends, however it ends: whoever finds another reader there gives up.
 * Of two that start at the same moment one takes the other's file away, and the other notices.
 *
 * A disk that is full, or gone, ends the peer: it may acknowledge nothing that it cannot keep. A file
 * that was removed can still be written to and would take everything with it, so after each commit
 * its place is looked at.
 *
 * Deliberately absent: mending. `hearsay repair` sets a damaged database aside, and the peer refills
 * an empty one from its cluster.
 *
 * Rules: SPEC.md, G1, C6 and I17.
 */

import { statSync } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Database, RootDatabase } from "lmdb";
import { HearsayError } from "../core/error.ts";
import type { Entry, MapEntries, MapKeys } from "../core/message.ts";
import type { PeerName, Timestamp, WallMs } from "../core/units.ts";
import { makeFolder } from "./make-folder.ts";
import type { Opened, Store } from "./store.ts";
import {
  CLOCK_KEY,
  decodeEntry,
  decodeRecord,
  encodeEntry,
  encodeRecord,
  entryKey,
  LABEL_KEY,
  readEntryKey,
  START_KEY,
  STORE_FORMAT,
} from "./store-records.ts";
import { DATA_FILE, refresh } from "./store-refresh.ts";

export interface LmdbStoreOptions {
  /** The peer's data directory. Made when it does not exist. */
  readonly directory: string;
  /** Whose store it is: another peer's is refused. */
  readonly name: PeerName;
  readonly cluster: string;
}

/** Where in a data directory the replica is. */
export const REPLICA_FOLDER = "replica";

/** Directories that this process has open: LMDB sees processes, not stores. */
const openHere = new Set<string>();

type Records = Database<Uint8Array, Uint8Array>;

export class LmdbStore implements Store {
  readonly #options: LmdbStoreOptions;
  readonly #path: string;
  #database: RootDatabase<Uint8Array, Uint8Array> | undefined;
  /** The directory as `openHere` knows it. */
  #held: string | undefined;
  /** Which file the database is, by the system's number. */
  #inode = 0;
  #clockBound: Timestamp = 0;
  #lastWrite: Promise<unknown> = Promise.resolve();
  /** Why nothing is written any more: after a failure the disk may hold less than it was told. */
  #failed: HearsayError | undefined;

  constructor(options: LmdbStoreOptions) {
    this.#options = options;
    this.#path = join(options.directory, REPLICA_FOLDER);
  }

  async open(wallMs: WallMs): Promise<Opened> {
    try {
      await this.#hold();
      const database = await this.#load();
      this.#checkLabel(database);
      const image = {
        clockBound: this.#readNumber(database, CLOCK_KEY, "clock"),
        maps: this.#read(database),
      };
      this.#clockBound = image.clockBound;
      const startedMs = Math.max(wallMs, this.#readNumber(database, START_KEY, "start") + 1);
      await this.#write("open", (records) => {
        const { name, cluster } = this.#options;
        put(records, LABEL_KEY, encodeRecord(LABEL_KEY, [STORE_FORMAT, name, cluster]));
        put(records, START_KEY, encodeRecord(START_KEY, [startedMs]));
      });
      return { image, startedMs };
    } catch (error) {
      await this.close();
      throw error instanceof HearsayError ? error : this.#failure("open", error);
    }
  }

  persist(
    maps: readonly MapEntries[],
    clockBound: Timestamp,
    dropped: readonly MapKeys[] = [],
  ): Promise<void> {
    this.#clockBound = Math.max(this.#clockBound, clockBound); // [C6] A bound is never taken back.
    return this.#write("write to", (records) => {
      for (const { map, entries } of maps) {
        for (const entry of entries) {
          const key = entryKey(map, entry.key);
          put(records, key, encodeEntry(key, entry));
        }
      }
      for (const { map, keys } of dropped) {
        for (const key of keys) records.remove(entryKey(map, key)).catch(ignore);
      }
      put(records, CLOCK_KEY, encodeRecord(CLOCK_KEY, [this.#clockBound]));
    });
  }

  async clear(): Promise<void> {
    const database = this.#now("clear");
    this.#clockBound = 0;
    await this.#write("clear", (records) => {
      for (const key of [...database.getKeys({})]) {
        if (readEntryKey(key) !== undefined) records.remove(key).catch(ignore);
      }
      put(records, CLOCK_KEY, encodeRecord(CLOCK_KEY, [0]));
    });
  }

  async close(): Promise<void> {
    const database = this.#database;
    this.#database = undefined;
    await this.#lastWrite.catch(() => {}); // Whoever asked for it has been told.
    await database?.close();
    if (this.#held !== undefined) openHere.delete(this.#held);
    this.#held = undefined;
  }

  /** Makes the directory this store's own within this process. */
  async #hold(): Promise<void> {
    await makeFolder(this.#path);
    const path = await realpath(this.#path);
    if (this.#held !== undefined || openHere.has(path)) throw this.#locked("this process");
    openHere.add(path);
    this.#held = path;
  }

  async #load(): Promise<Records> {
    const { open } = await import("lmdb"); // 10 MB, which a peer without a disk does not need.
    const file = join(this.#path, DATA_FILE);
    const openFile = () =>
      open<Uint8Array, Uint8Array>({
        path: this.#path,
        keyEncoding: "binary",
        encoding: "binary",
        // A promise resolves when its transaction is on the disk, not when others can read it.
        overlappingSync: false,
        // Its batches have a promise of their own, which nobody can catch when the disk is full.
        eventTurnBatching: false,
      });
    const size = await stat(file).then(
      ({ size: bytes }) => bytes,
      () => 0,
    );
    const obstacle = size === 0 ? undefined : await refresh(this.#path);
    if (obstacle !== undefined) {
      throw "pid" in obstacle
        ? this.#locked(`process ${obstacle.pid}`)
        : this.#corrupt(obstacle.damage);
    }
    this.#database = openFile();
    this.#inode = (await stat(file)).ino;
    return this.#database;
  }

  #checkLabel(database: Records): void {
    const record = database.get(LABEL_KEY);
    if (record === undefined) return;
    const fields = decodeRecord(LABEL_KEY, record);
    if (fields === undefined) throw this.#corrupt("its label is not what was written");
    const [format, name, cluster] = fields;
    if (format !== STORE_FORMAT) {
      throw this.#failure(
        "open",
        new Error(`it has format ${format}, and this is ${STORE_FORMAT}`),
      );
    }
    if (name === this.#options.name && cluster === this.#options.cluster) return;
    throw this.#failure("open", new Error(`it belongs to "${name}" of cluster "${cluster}"`));
  }

  #readNumber(database: Records, key: Uint8Array, what: string): number {
    const record = database.get(key);
    if (record === undefined) return 0;
    const [value] = decodeRecord(key, record) ?? [];
    if (typeof value !== "number") throw this.#corrupt(`its ${what} is not what was written`);
    return value;
  }

  #read(database: Records): MapEntries[] {
    const maps = new Map<string, Entry[]>();
    for (const { key: stored, value: record } of database.getRange({})) {
      if (stored.length === 1) continue; // No entry: a map and a key have a separator, and a name.
      const place = readEntryKey(stored);
      if (place === undefined) throw this.#corrupt("it has a record under a key that nobody wrote");
      const entry = decodeEntry(stored, place.key, record);
      if (entry === undefined) {
        throw this.#corrupt(`"${place.key}" of ${place.map} is not what was written`);
      }
      const entries = maps.get(place.map) ?? [];
      entries.push(entry);
      maps.set(place.map, entries);
    }
    return [...maps].map(([map, entries]) => ({ map, entries }));
  }

  /** One transaction; resolves when it is on the disk, and the disk is still there. */
  #write(action: string, change: (records: Records) => void): Promise<void> {
    const written = this.#transact(action, change);
    this.#lastWrite = written;
    return written;
  }

  async #transact(action: string, change: (records: Records) => void): Promise<void> {
    const database = this.#now(action);
    if (this.#failed !== undefined) throw this.#failed;
    try {
      // Without it what is written is cut into transactions wherever the writing thread happens to be.
      await database.batch(() => change(database));
      const { ino } = statSync(join(this.#path, DATA_FILE));
      if (ino !== this.#inode) throw new Error("its file was replaced");
    } catch (error) {
      this.#failed = this.#failure(action, await reasonOf(error));
      throw this.#failed;
    }
  }

  #now(action: string): RootDatabase<Uint8Array, Uint8Array> {
    if (this.#database !== undefined) return this.#database;
    throw new HearsayError("CLOSED", `Cannot ${action} the store: it is closed`);
  }

  #locked(by: string): HearsayError {
    const message = `Cannot open the store in ${this.#options.directory}: ${by} has it open`;
    return new HearsayError("STORE_LOCKED", message);
  }

  #corrupt(damage: string): HearsayError {
    const { directory } = this.#options;
    const advice = `"hearsay repair --data ${directory}" sets it aside, to be refilled by other peers`;
    const message = `Cannot open the store in ${directory}: ${damage}; ${advice}`;
    return new HearsayError("STORE_CORRUPT", message);
  }

  #failure(action: string, cause: unknown): HearsayError {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `Cannot ${action} the store in ${this.#options.directory}: ${why}`;
    return new HearsayError("STORE_FAILED", message, { cause });
  }
}

/** For the parts of a transaction: its own promise speaks for the whole. */
function put(records: Records, key: Uint8Array, record: Uint8Array): void {
  records.put(key, record).catch(ignore);
}

function ignore(): void {}

/** LMDB keeps the reason of a commit that failed in a promise beside the error. */
async function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<unknown> };
  return commitError === undefined ? error : commitError.catch((reason: unknown) => reason);
}
