import fc from "fast-check";
import { expect, test } from "vitest";
import { Table } from "../../src/live/row.ts";
import { partsOf, recordsIn } from "../../src/live/row-parts.ts";
import { RowTable } from "../../src/live/row-table.ts";
import { ids, rowOf, TASK, values } from "./rows.ts";

const put = (table: RowTable, id: string, version?: number) =>
  table.put("t", "task", {
    id,
    version,
    values: rowOf(id, 0, [null, version ?? 0, null, null]).values,
  });

test("[V6] the versions of a row only grow, over its deletion, too", () => {
  const table = new RowTable();
  expect(put(table, "r")).toMatchObject({ written: { applied: true, version: 1 } });
  expect(put(table, "r")).toMatchObject({ written: { applied: true, version: 2 } });
  expect(put(table, "r", 2)).toMatchObject({ written: { applied: false, version: 2 } });
  expect(table.delete("t", "task", "r", 2)).toMatchObject({ written: { applied: false } });
  expect(table.delete("t", "task", "r", 7)).toMatchObject({
    written: { applied: true, version: 7 },
  });
  expect(put(table, "r", 7)).toMatchObject({ written: { applied: false, version: 7 } });
  expect(put(table, "r")).toMatchObject({ written: { applied: true, version: 8 } });
  expect(table.delete("t", "task", "unknown", undefined)).toMatchObject({
    written: { applied: false },
  });
});

test("[V6] each change has a position, one more than the last, and says what the row was and is", () => {
  const table = new RowTable(40);
  const changes = [put(table, "r"), put(table, "r"), table.delete("t", "task", "r", undefined)];
  expect(changes.map((each) => each.ok && each.change)).toMatchObject([
    { position: 41, before: undefined, after: { version: 1 } },
    { position: 42, before: { version: 1 }, after: { version: 2 } },
    { position: 43, before: { version: 2 }, after: undefined },
  ]);
  expect([table.position, table.size]).toEqual([43, 0]);
});

test("[V6] tables that merged the same records are equal, in whatever order and however often", () => {
  const record = fc.record({
    ...{ id: ids(3), version: fc.nat({ max: 3 }) },
    values: fc.option(values, { nil: undefined }),
  });
  const records = fc.array(
    record.map(({ id, version, values: columns }) => ({
      ...{ id, version, values: columns && [id, ...columns] },
    })),
    { maxLength: 10 },
  );
  const of = (table: RowTable) =>
    [...table.records("t", "task")].sort((a, b) => (a.id < b.id ? -1 : 1));
  fc.assert(
    fc.property(records, fc.nat(), (all, turn) => {
      const [a, b] = [new RowTable(), new RowTable()];
      for (const each of all) a.merge("t", "task", each);
      for (const at of [...all.keys()].reverse()) {
        b.merge("t", "task", all[(at + turn) % all.length] as (typeof all)[number]);
        b.merge("t", "task", all[at] as (typeof all)[number]);
      }
      expect(of(b)).toEqual(of(a));
      for (const { id } of all) {
        const highest = Math.max(
          ...all.filter((each) => each.id === id).map((each) => each.version),
        );
        expect(of(a).find((each) => each.id === id)?.version).toBe(highest);
      }
    }),
  );
});

test("[V6] rows are the same when they come back from parts, in the columns that are declared then", () => {
  const records = fc.array(
    fc.tuple(ids(200), fc.nat(), fc.option(values)).map(([id, version, columns]) => ({
      ...{ id, version, values: columns === null ? undefined : [id, ...columns] },
    })),
  );
  fc.assert(
    fc.property(records, (all) => {
      const parts = [...partsOf(all, TASK)];
      expect(parts.flatMap((part) => [...recordsIn(part, TASK)])).toEqual(all);
    }),
  );
  const [part = new Uint8Array()] = partsOf([rowOf("r", 1, ["a", 2, true, "b"])], TASK);
  const other = new Table(
    "task",
    new Map([
      ["more", "string"],
      ["priority", "number"],
    ]),
  );
  expect([...recordsIn(part, other)]).toEqual([{ id: "r", version: 1, values: ["r", null, 2] }]);
  const changed = new Table("task", new Map([["priority", "string"]]));
  expect([...recordsIn(part, changed)]).toEqual([]);
  expect([...recordsIn(Uint8Array.of(1, 2, 3), TASK)]).toEqual([]);
});
