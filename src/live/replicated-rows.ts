/**
 * The rows of a region's shards: in memory to be read, and as items to be kept.
 *
 * What is written is appended to an item, which is copied to other peers and to a disk, if there is one
 * (`items.ts`), and is acknowledged when enough copies have it. The rows themselves are a table in memory, made
 * from the items when the region gets the shard and has what anybody has kept of it. What comes up later,
 * from the other side of a partition or an old disk, is merged into it, row by row.
 *
 * Subscribers hear of a change when it is made, which may be before it is durable: what a region that dies
 * at that moment takes with it was acknowledged to nobody.
 *
 * Rules: SPEC.md, V4, V6, Y3 to Y6.
 */
import type { ErrorCode, Refusal } from "../core/error.ts";
import type { FencingToken } from "../core/token.ts";
import type { Instant, ShardId } from "../core/units.ts";
import type { Items, ItemsHooks } from "../items/items.ts";
import type { RowChange, RowDraft, Table } from "./row.ts";
import { itemOf, ownerOf, partsOf, recordsIn } from "./row-parts.ts";
import { RowTable, type WriteOutcome } from "./row-table.ts";
import type { ReadRequest, ReadResult } from "./view.ts";

/** Writes to one shard that wait until it can be written. */
const WAITING_MAX = 4096;

/** A write to one row. */
export interface RowWrite {
  readonly tenant: string;
  readonly table: Table;
  readonly id: string;
  readonly version: number | undefined;
  /** Undefined: the row is deleted. */
  readonly draft: RowDraft | undefined;
}

export interface RowsHooks {
  /** The region has all rows of a shard that can be had, and serves it. */
  serving(shard: ShardId, token: FencingToken, position: number): void;
  changed(shard: ShardId, change: RowChange): void;
}

/** Hears what became of a write, once. */
export type Answered = (outcome: WriteOutcome) => void;

interface Served {
  readonly token: FencingToken;
  readonly table: RowTable;
  isReady: boolean;
  /** Writes that came before. */
  readonly waiting: { readonly write: RowWrite; readonly answered: Answered }[];
  /** Writes that are not durable yet, by item. */
  readonly unacknowledged: Map<
    string,
    { readonly count: number; readonly done: Answered; readonly outcome: WriteOutcome }[]
  >;
}

export class ReplicatedRows {
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #hooks: RowsHooks;
  readonly #items: Items;
  readonly #served = new Map<ShardId, Served>();

  /** `create` makes the items that these rows are kept in, with these hooks. */
  constructor(
    tables: ReadonlyMap<string, Table>,
    hooks: RowsHooks,
    create: (hooks: ItemsHooks) => Items,
  ) {
    this.#tables = tables;
    this.#hooks = hooks;
    this.#items = create({
      merge: (shard, item, parts) => this.#merge(shard, item, parts, true),
      // What is served is in memory: copies that come are merged into it.
      isOpen: (shard) => this.#served.has(shard),
      replaced: (shard, item) =>
        this.#merge(shard, item, this.#items.store.read(shard, item), false),
      acknowledged: (shard, item, count) => this.#acknowledged(shard, item, count),
      recovered: (shard) => this.#recovered(shard),
      grown: (shard, item) => this.#compact(shard, item),
    });
  }

  /** The region has a shard: it reads what is kept here, and asks for what others have. */
  acquired(shard: ShardId, token: FencingToken, now: Instant): void {
    this.released(shard);
    const table = new RowTable();
    const served: Served = {
      ...{ token, table, isReady: false, waiting: [], unacknowledged: new Map() },
    };
    this.#served.set(shard, served);
    for (const item of this.#items.store.items(shard).keys()) {
      this.#merge(shard, item, this.#items.store.read(shard, item), false);
    }
    this.#items.acquired(shard, token.token, token.writer, now);
  }

  /** The region has the shard no longer. Copies stay. */
  released(shard: ShardId): void {
    const served = this.#served.get(shard);
    if (served === undefined) return;
    this.#served.delete(shard);
    this.#items.released(shard);
    for (const { answered } of served.waiting)
      answered(refusal("NOT_OWNER", "the shard has moved"));
    for (const writes of served.unacknowledged.values()) {
      for (const { done } of writes)
        done(refusal("TIMEOUT", "the shard moved while it was stored"));
    }
  }

  /** The peer begins again. */
  reset(): void {
    for (const shard of [...this.#served.keys()]) this.released(shard);
    this.#items.reset();
  }

  /** Writes a row; answered when enough copies have it. */
  write(shard: ShardId, write: RowWrite, answered: Answered): void {
    const served = this.#served.get(shard);
    if (served === undefined) answered(refusal("NOT_OWNER", "the shard is not here"));
    else if (!served.isReady) {
      if (served.waiting.length < WAITING_MAX) served.waiting.push({ write, answered });
      else answered(refusal("BUFFER_FULL", `${WAITING_MAX} writes wait`)); // [S4]
    } else this.#write(shard, served, write, answered);
  }

  read(shard: ShardId, request: ReadRequest): ReadResult {
    const served = this.#served.get(shard);
    return served?.table.read(request) ?? { rows: [], isComplete: true, position: 0 };
  }

  /** The version of a row of a shard that is here, or of its deletion. */
  versionOf(shard: ShardId, tenant: string, entity: string, id: string): number | undefined {
    return this.#served.get(shard)?.table.versionOf(tenant, entity, id);
  }

  #write(shard: ShardId, served: Served, write: RowWrite, answered: Answered): void {
    const { tenant, table, id, version, draft } = write;
    const { entity } = table;
    const outcome =
      draft === undefined
        ? served.table.delete(tenant, entity, id, version)
        : served.table.put(tenant, entity, draft);
    if (!outcome.ok || !outcome.written.applied) {
      answered(outcome);
      return;
    }
    const item = itemOf(tenant, entity, id);
    const record = { id, version: outcome.written.version, values: draft?.values };
    const [part = new Uint8Array()] = partsOf([record], table);
    const writes = served.unacknowledged.get(item) ?? [];
    served.unacknowledged.set(item, writes);
    // Told before it is appended, which may acknowledge at once.
    if (outcome.change !== undefined) this.#hooks.changed(shard, outcome.change);
    const count = this.#items.append(shard, item, part);
    if (!this.#items.isWaiting(shard, item)) answered(outcome);
    else writes.push({ count, done: answered, outcome });
  }

  #acknowledged(shard: ShardId, item: string, count: number): void {
    const served = this.#served.get(shard);
    const writes = served?.unacknowledged.get(item);
    while (writes !== undefined && writes.length > 0) {
      const [first] = writes;
      if (first === undefined || first.count > count) return;
      writes.shift();
      first.done(first.outcome);
    }
    served?.unacknowledged.delete(item);
  }

  /** Rows of another copy, or of the own one: what is new in them is told, and appended if it is to be kept. */
  #merge(shard: ShardId, item: string, parts: readonly Uint8Array[], isKept: boolean): void {
    const served = this.#served.get(shard);
    const { tenant, entity } = ownerOf(item);
    const table = this.#tables.get(entity);
    if (served === undefined) return;
    if (table === undefined) {
      // Nobody here knows its columns: it is kept as it is.
      if (isKept) for (const part of parts) this.#items.append(shard, item, part);
      return;
    }
    for (const part of parts) {
      const news = [];
      for (const record of recordsIn(part, table)) {
        const { isNews, change } = served.table.merge(tenant, entity, record);
        if (isNews) news.push(record);
        if (change !== undefined && served.isReady) this.#hooks.changed(shard, change);
      }
      if (isKept) for (const own of partsOf(news, table)) this.#items.append(shard, item, own);
    }
  }

  #recovered(shard: ShardId): void {
    const served = this.#served.get(shard);
    if (served === undefined) return;
    served.isReady = true;
    this.#hooks.serving(shard, served.token, served.table.position);
    for (const { write, answered } of served.waiting.splice(0)) this.write(shard, write, answered);
  }

  /** An item has many parts: fewer say the same, where many of them are about the same rows. */
  #compact(shard: ShardId, item: string): void {
    const { tenant, entity } = ownerOf(item);
    const table = this.#tables.get(entity);
    const { parts: count = 0 } = this.#items.store.items(shard).get(item) ?? {};
    if (table === undefined) return;
    const merged = new RowTable();
    for (const part of this.#items.store.read(shard, item)) {
      for (const record of recordsIn(part, table)) merged.merge(tenant, entity, record);
    }
    const parts = [...partsOf(merged.records(tenant, entity), table)];
    if (parts.length < count) this.#items.compact(shard, item, parts);
  }
}

function refusal(code: ErrorCode, reason: string): Refusal {
  return { ok: false, code, message: `Cannot write: ${reason}` };
}
