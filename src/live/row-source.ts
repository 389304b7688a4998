/**
 * Where the rows of a region's shards are, and the default for it: in memory.
 *
 * A source is opened for a shard when its region gets it, tells every change of it in the order of
 * positions, and answers reads with the position that they were made at. Between the two there is no gap:
 * whatever is not in a read at position p is told, at a position above p.
 *
 * Rules: SPEC.md, section V (V4, V6).
 */
import type { ShardId } from "../core/units.ts";
import type { RowChange } from "./engine.ts";
import type { RowDraft } from "./row.ts";
import { RowTable, type StoredRow, type WriteOutcome } from "./row-table.ts";
import type { ReadRequest, ReadResult } from "./view.ts";

export type TellChange = (shard: ShardId, change: RowChange) => void;

/** A write to one row. */
export interface RowWrite {
  readonly tenant: string;
  readonly entity: string;
  /** Undefined: the row is deleted. */
  readonly draft: RowDraft | undefined;
  readonly id: string;
  readonly version: number | undefined;
}

/** The rows of shards, in memory. */
export class EmbeddedRows {
  readonly #tables = new Map<ShardId, RowTable>();
  readonly #open = new Set<ShardId>();
  readonly #tell: TellChange;

  constructor(tell: TellChange) {
    this.#tell = tell;
  }

  /** Begins to tell changes of a shard; returns the position of the last one. */
  open(shard: ShardId): number {
    this.#open.add(shard);
    return this.#table(shard).position;
  }

  /** The shard is somebody else's. What is here stays until it comes back or is forgotten. */
  close(shard: ShardId): void {
    this.#open.delete(shard);
    this.#tables.delete(shard);
  }

  clear(): void {
    this.#tables.clear();
    this.#open.clear();
  }

  write(shard: ShardId, { tenant, entity, id, version, draft }: RowWrite): WriteOutcome {
    const table = this.#table(shard);
    const outcome =
      draft === undefined
        ? table.delete(tenant, entity, id, version)
        : table.put(tenant, entity, draft);
    if (outcome.ok && outcome.change && this.#open.has(shard)) this.#tell(shard, outcome.change);
    return outcome;
  }

  read(shard: ShardId, request: ReadRequest): ReadResult {
    return this.#table(shard).read(request);
  }

  /** All rows of a shard, and the deletions that are remembered, for its next region. */
  rowsOf(shard: ShardId): {
    readonly rows: Iterable<StoredRow>;
    readonly deletions: Iterable<readonly [string, number]>;
  } {
    const table = this.#table(shard);
    return { rows: table.all(), deletions: table.deletions() };
  }

  /** Takes rows over before the shard is opened. */
  takeOver(
    shard: ShardId,
    rows: Iterable<StoredRow>,
    deletions: Iterable<readonly [string, number]>,
  ): void {
    this.#table(shard).takeOver(rows, deletions);
  }

  #table(shard: ShardId): RowTable {
    const known = this.#tables.get(shard);
    if (known !== undefined) return known;
    const table = new RowTable();
    this.#tables.set(shard, table);
    return table;
  }
}
