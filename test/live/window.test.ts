import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../src/core/random.ts";
import { applyDeltas, type Delta, differences } from "../../src/live/delta.ts";
import { Engine } from "../../src/live/engine.ts";
import { compileOrder } from "../../src/live/order.ts";
import type { LiveQuery } from "../../src/live/query.ts";
import type { Row, Scalar } from "../../src/live/row.ts";
import { RowTable } from "../../src/live/row-table.ts";
import type { ReadRequest, ReadResult, View } from "../../src/live/view.ts";
import { Window } from "../../src/live/window.ts";
import { belongs, ids, queryOf, rowOf, rowsOf, sort, TASK, topOf, values, where } from "./rows.ts";

const order = compileOrder(queryOf({ sort: [{ column: "priority" }] }).sort, TASK);
const numbered = (id: string, priority: number, version = 1): Row =>
  rowOf(id, version, [null, priority, null, null]);

describe("a window", () => {
  test("[V2] what an incomplete window holds is the first of all rows, whatever comes and goes", () => {
    const step = fc.record({ id: ids(12), priority: fc.nat({ max: 5 }), isGone: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        (steps, limit) => {
          const window = new Window(order, limit, limit + 2);
          const all = new Map<string, Row>();
          let shown: Row[] = [];
          for (const [version, { id, priority, isGone }] of steps.entries()) {
            const deltas: Delta[] = [];
            if (isGone) {
              all.delete(id);
              window.remove(id, deltas);
            } else {
              const row = numbered(id, priority, version);
              all.set(id, row);
              window.put(row, deltas);
            }
            const sorted = [...all.values()].sort(order);
            expect(applyDeltas(shown, deltas)).toBe(true);
            expect(shown).toEqual(window.shown());
            expect(shown).toEqual(sorted.slice(0, Math.min(limit, window.held)));
            if (window.isComplete) expect(window.held).toBe(all.size);
            if (window.isExact) expect(shown).toEqual(sorted.slice(0, limit));
            else {
              window.load(sorted.slice(0, limit + 2), all.size <= limit + 2);
              shown = window.shown();
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("[V2] a window that has lost its rows takes none in from behind its edge", () => {
    const window = new Window(order, 2, 4);
    window.load(
      [1, 2, 3].map((priority) => numbered(`r${priority}`, priority)),
      false,
    );
    for (const id of ["r1", "r2", "r3"]) window.remove(id, []);
    window.put(numbered("r8", 8), []);
    window.put(numbered("r9", 9), []);
    // Rows between 3 and 8 may be there that nobody has told it of.
    expect([window.held, window.isExact]).toEqual([0, false]);
  });

  test("[V3] a row that is pushed out leaves before the one that pushes it enters", () => {
    const window = new Window(order, 2, 4);
    const deltas: Delta[] = [];
    for (const priority of [3, 2]) window.put(numbered(`r${priority}`, priority), []);
    window.put(numbered("r1", 1), deltas);
    expect(deltas).toEqual([
      { type: "leave", index: 1, id: "r3" },
      { type: "enter", index: 0, row: numbered("r1", 1) },
    ]);
  });

  test("[V3] a row that changes tells which columns did, and where it moved", () => {
    const window = new Window(order, 3, 5);
    for (const priority of [1, 2, 3]) window.put(numbered(`r${priority}`, priority), []);
    const deltas: Delta[] = [];
    window.put(numbered("r3", 0, 2), deltas);
    window.put(rowOf("r3", 3, ["a", 0, null, null]), deltas);
    expect(deltas).toEqual([
      { type: "move", from: 2, index: 0, row: numbered("r3", 0, 2), changed: [2] },
      { type: "update", index: 0, row: rowOf("r3", 3, ["a", 0, null, null]), changed: [1] },
    ]);
  });

  test("[V3] from one window to another lead the differences between them", () => {
    const rows = fc
      .uniqueArray(fc.tuple(ids(6), fc.nat({ max: 2 })), { selector: ([id]) => id, maxLength: 6 })
      .map((all) => all.map(([id, version]) => numbered(id, version, version)));
    fc.assert(
      fc.property(rows, rows, (before, after) => {
        const shown = [...before];
        const deltas = differences(before, after);
        expect(applyDeltas(shown, deltas)).toBe(true);
        expect(shown).toEqual(after);
        if (before.length === after.length && before.every((row, at) => row === after[at])) {
          expect(deltas).toEqual([]);
        }
      }),
    );
  });
});

/** A shard with one view: reads are answered when the test says so. */
class Shard {
  readonly table = new RowTable();
  readonly engine: Engine;
  readonly view: View;
  readonly reads: { view: View; request: ReadRequest; result?: ReadResult }[] = [];
  /** What a subscriber has; undefined until it has anything. */
  shown: Row[] | undefined;
  sequence = 0;

  constructor(
    asked: Partial<LiveQuery>,
    rows: readonly (readonly [string, Scalar[]])[] = [],
    cushion?: number,
  ) {
    for (const [id, columns] of rows) this.write(id, columns);
    this.engine = new Engine(this.table.position, cushion);
    this.view = this.engine.view(queryOf(asked));
  }

  write(id: string, columns: readonly Scalar[] | undefined): void {
    const outcome =
      columns === undefined
        ? this.table.delete("t", "task", id, undefined)
        : this.table.put("t", "task", { id, version: undefined, values: [id, ...columns] });
    if (!outcome.ok || outcome.change === undefined || this.engine === undefined) return;
    this.engine.change(outcome.change, (_, batch) => this.take(batch));
  }

  /** Begins a read; it is answered later. */
  ask(): void {
    const read = this.engine.nextRead();
    if (read !== undefined) this.reads.push(read);
  }

  /** The source looks at its rows now. */
  look(): void {
    const [read] = this.reads;
    if (read !== undefined) read.result = this.table.read(read.request);
  }

  answer(): void {
    const read = this.reads.shift();
    if (read === undefined) return;
    const batch = this.engine.loaded(read.view, read.result ?? this.table.read(read.request));
    if (batch !== undefined) this.take(batch);
    if (this.shown === undefined && this.view.isLoaded) {
      this.shown = this.view.rows();
      this.sequence = this.view.sequence;
    }
  }

  take({ after, sequence, deltas }: NonNullable<ReturnType<View["change"]>>): void {
    expect(after).toBe(this.sequence);
    expect(sequence).toBeGreaterThan(after);
    this.sequence = sequence;
    expect(applyDeltas(this.shown ?? [], deltas)).toBe(true);
    expect(this.shown?.length).toBeLessThanOrEqual(this.view.query.limit);
  }

  rows(): Row[] {
    return rowsOf(this.table);
  }
}

describe("a view", () => {
  test("[V2] in 10 000 runs that delete more than they put, the window is the first N after each step", {
    timeout: 120_000,
  }, () => {
    const random = new Random(9);
    const value = (): Scalar[] => [null, random.below(6), random.below(2) === 0, null];
    const asked = {
      sort: [{ column: "priority" }],
      where: [{ column: "done", op: "eq", value: true }],
    };
    for (let run = 0; run < 10_000; run += 1) {
      const limit = 1 + random.below(4);
      const query = { ...asked, limit } as Partial<LiveQuery>;
      const count = 10 + random.below(50);
      const all = Array.from({ length: count }, (_, n): [string, Scalar[]] => [`r${n}`, value()]);
      const shard = new Shard(query, all);
      shard.ask();
      shard.answer();
      for (let step = 0; step < 30; step += 1) {
        const isGone = random.below(10) < 7;
        shard.write(`r${random.below(count)}`, isGone ? undefined : value());
        shard.ask();
        shard.answer();
        const expected = topOf(shard.rows(), query, shard.view.query.sort);
        // Cheaper than a deep comparison, 600 000 times.
        const isEqual =
          shard.shown?.length === expected.length &&
          expected.every(({ id, version }, at) => {
            const row = shard.shown?.[at];
            return row?.id === id && row.version === version;
          });
        if (!isEqual)
          expect({ run, step, shown: shard.shown }).toEqual({ run, step, shown: expected });
      }
    }
  });

  test("[V2, V4] whenever rows are read, subscribers see the first N of some moment, and in the end of the last", () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ id: ids(14), columns: fc.option(values, { freq: 1 }) }) },
      { weight: 2, arbitrary: fc.constant("ask" as const) },
      { weight: 2, arbitrary: fc.constant("look" as const) },
      { weight: 2, arbitrary: fc.constant("answer" as const) },
    );
    const rows = fc.uniqueArray(fc.tuple(ids(14), values), {
      selector: ([id]) => id,
      minLength: 8,
    });
    const limits = fc.integer({ min: 1, max: 3 });
    fc.assert(
      fc.property(
        where,
        sort,
        limits,
        fc.integer({ min: 0, max: 2 }),
        rows,
        fc.array(step, { maxLength: 120 }),
        (clauses, keys, limit, cushion, all, steps) => {
          const asked = { where: clauses, sort: keys, limit };
          const shard = new Shard(asked, all, cushion);
          const moments = new Map<number, Row[]>();
          const note = (): void => {
            moments.set(shard.table.position, topOf(shard.rows(), asked, shard.view.query.sort));
          };
          note();
          for (const each of steps) {
            if (each === "ask") shard.ask();
            else if (each === "look") shard.look();
            else if (each === "answer") shard.answer();
            else {
              const before = shard.sequence;
              shard.write(each.id, each.columns ?? undefined);
              note();
              expect(shard.sequence === before || shard.sequence === shard.table.position).toBe(
                true,
              );
            }
            if (shard.shown !== undefined) expect(shard.shown).toEqual(moments.get(shard.sequence));
            if (shard.view.isLoaded) expect(shard.view.rows()).toEqual(shard.shown);
          }
          for (let turn = 0; turn < 5; turn += 1) {
            shard.answer();
            shard.ask();
          }
          expect(shard.shown).toEqual(topOf(shard.rows(), asked, shard.view.query.sort));
        },
      ),
      { numRuns: 1500 },
    );
  });

  test("[V4] a read that is older than what its view knew is made again", () => {
    const shard = new Shard({ limit: 2 }, [["r1", [null, 1, null, null]]]);
    const old = shard.table.read({ query: shard.view.query, count: 10 });
    shard.write("r2", [null, 2, null, null]);
    shard.ask();
    const [read] = shard.reads;
    if (read !== undefined) read.result = old;
    shard.answer();
    expect(shard.view.isLoaded).toBe(false);
    shard.ask();
    shard.answer();
    expect(shard.shown?.map(({ id }) => id)).toEqual(["r1", "r2"]);
  });

  test("[V4] a read that takes longer than changes can be kept for is made again", () => {
    const shard = new Shard({ limit: 2 });
    shard.ask();
    for (let n = 0; n < 5000; n += 1) shard.write(`r${n}`, [null, n, null, null]);
    shard.answer();
    expect(shard.view.isLoaded).toBe(false);
    shard.ask();
    shard.answer();
    expect(shard.shown?.map(({ id }) => id)).toEqual(["r0", "r1"]);
  });

  test("[V4] a read that fails is made again", () => {
    const shard = new Shard({ limit: 2 }, [["r1", [null, 1, null, null]]]);
    shard.ask();
    shard.engine.readFailed(shard.view);
    shard.reads.length = 0;
    shard.ask();
    shard.answer();
    expect(shard.shown?.length).toBe(1);
  });

  test("[V5] a streamed query has all rows that match, and says when they are too many", () => {
    const shard = new Shard({ mode: "streamed" });
    shard.ask();
    shard.answer();
    for (let n = 0; n < 10_000; n += 1) shard.write(`r${n}`, [null, n, null, null]);
    expect([shard.shown?.length, shard.view.isOverfull]).toEqual([10_000, false]);
    shard.write("more", [null, 1, null, null]);
    expect(shard.view.isOverfull).toBe(true);
  });
});

describe("an engine", () => {
  test("[V5] equal shapes share a view, and every view hears of the changes that concern it", () => {
    const queries = fc.array(where, { minLength: 1, maxLength: 8 });
    const steps = fc.array(fc.record({ id: ids(5), columns: fc.option(values, { freq: 2 }) }));
    fc.assert(
      fc.property(queries, steps, (wheres, writes) => {
        const table = new RowTable();
        const engine = new Engine(0);
        const views = new Set(wheres.map((clauses) => engine.view(queryOf({ where: clauses }))));
        expect(views.size).toBe(new Set([...views].map(({ query }) => query.shape)).size);
        expect(engine.size).toBe(views.size);
        for (const clauses of wheres) views.has(engine.view(queryOf({ where: clauses })));
        for (let read = engine.nextRead(); read !== undefined; read = engine.nextRead()) {
          engine.loaded(read.view, table.read(read.request));
        }
        for (const { id, columns } of writes) {
          const outcome =
            columns === null
              ? table.delete("t", "task", id, undefined)
              : table.put("t", "task", { id, version: undefined, values: [id, ...columns] });
          if (outcome.ok && outcome.change) engine.change(outcome.change, () => {});
        }
        for (const clauses of wheres) {
          const expected = rowsOf(table)
            .filter((row) => belongs(row, clauses))
            .map(({ id }) => id);
          const shown = engine.view(queryOf({ where: clauses })).rows();
          expect(shown.map(({ id }) => id)).toEqual(expected.sort());
        }
        for (const view of views) engine.drop(view);
        expect(engine.size).toBe(0);
        expect(engine.nextRead()).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });
});
