/**
 * A database in memory as a source of rows: a map, and a log of what has changed in it. What a user would write
 * with a table of rows and an outbox table.
 */
import { shardOf } from "../../src/core/shard-of.ts";
import type { SortColumn } from "../../src/live/query.ts";
import type { Scalar } from "../../src/live/row.ts";
import type { LiveSource } from "../../src/live/shell/source-reader.ts";
import type { SourceChange, SourceQuery, SourceRow, SourceRows } from "../../src/live/source.ts";

export class MemorySource implements LiveSource {
  readonly rows = new Map<string, SourceRow>();
  readonly log: SourceChange[] = [];
  reads = 0;
  /** Changes that are being followed. */
  followed = 0;
  readonly #shardCount: number;
  readonly #waiting = new Set<() => void>();

  constructor(shardCount: number) {
    this.#shardCount = shardCount;
  }

  put(row: Omit<SourceRow, "version">): void {
    const { tenant, entity, id } = row;
    const key = JSON.stringify([tenant, entity, id]);
    const version = this.log.filter((each) => each.id === id).length + 1;
    this.rows.set(key, { ...row, version });
    this.write({ ...row, version, position: this.log.length + 1 });
  }

  delete({ tenant, entity, id }: Pick<SourceRow, "tenant" | "entity" | "id">): void {
    this.rows.delete(JSON.stringify([tenant, entity, id]));
    const version = this.log.filter((each) => each.id === id).length + 1;
    this.write({
      ...{ tenant, entity, id, version },
      position: this.log.length + 1,
      columns: undefined,
    });
  }

  /** Appends to the log, whatever that is. */
  write(change: SourceChange): void {
    this.log.push(change);
    this.wake();
  }

  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** All rows of the entity: they are few, and put in order by who asks. */
  read({ tenant, entity }: SourceQuery): Promise<SourceRows> | SourceRows {
    this.reads += 1;
    const rows = [...this.rows.values()].filter(
      (row) => row.tenant === tenant && row.entity === entity,
    );
    return { rows, isComplete: true, position: this.log.length };
  }

  async *changes(shard: string, since: number, signal: AbortSignal): AsyncGenerator<SourceChange> {
    this.followed += 1;
    try {
      for (let at = since; !signal.aborted; at += 1) {
        while (at >= this.log.length && !signal.aborted) await this.#next(signal);
        const change = this.log[at];
        if (change === undefined) return;
        const { tenant, entity } = change;
        if (shard === `shard-${shardOf(tenant, entity, this.#shardCount)}`) yield change;
      }
    } finally {
      this.followed -= 1;
    }
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}

/** Lets so many turns of the event loop pass. */
export async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

/**
 * The same, but it takes its time, and gives no more rows than it is asked for, in order: as SQL would. It is
 * later still with changes, so that what was read is ahead of what was told.
 */
export class OrderedSource extends MemorySource {
  override async *changes(
    ...[shard, since, signal]: Parameters<MemorySource["changes"]>
  ): AsyncGenerator<SourceChange> {
    for await (const change of super.changes(shard, since, signal)) {
      await turns(3);
      yield change;
    }
  }

  override async read(query: SourceQuery): Promise<SourceRows> {
    const { where, sort, after, limit } = query;
    const all = await super.read(query);
    await turns(2);
    // Conditions are left to who asks, where there are any.
    if (where.length > 0 || after !== undefined) return all;
    const rows = [...all.rows].sort((a, b) => compare(a, b, sort)).slice(0, limit);
    return { rows, isComplete: rows.length < limit, position: all.position };
  }
}

function compare(a: SourceRow, b: SourceRow, sort: readonly SortColumn[]): number {
  const cellOf = (row: SourceRow, column: string): Scalar =>
    column === "id" ? row.id : (row.columns[column] ?? null);
  for (const { column, descending = false } of sort) {
    const [x, y] = [cellOf(a, column), cellOf(b, column)];
    if (x === y) continue;
    const order = x === null ? -1 : y === null ? 1 : x < y ? -1 : 1;
    return descending ? -order : order;
  }
  return 0;
}
