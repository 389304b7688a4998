import fc from "fast-check";
import { expect, test } from "vitest";
import { RowTable } from "../../src/live/row-table.ts";
import { ids, rowOf } from "./rows.ts";

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

test("[V6] a table that takes another over has the higher version of each row, deletions included", () => {
  const step = fc.record({ id: ids(3), version: fc.nat({ max: 6 }), isGone: fc.boolean() });
  const steps = fc.array(step, { maxLength: 12 });
  const write = (
    table: RowTable,
    all: readonly { id: string; version: number; isGone: boolean }[],
  ) => {
    for (const { id, version, isGone } of all) {
      if (isGone) table.delete("t", "task", id, version);
      else put(table, id, version);
    }
    return table;
  };
  const said = (table: RowTable) => [
    [...table.all()].map(({ id, version }) => `${id} ${version}`).sort(),
    [...table.deletions()].sort(),
  ];
  fc.assert(
    fc.property(steps, steps, (mine, theirs) => {
      const [a, b] = [write(new RowTable(), mine), write(new RowTable(), theirs)];
      const merged = write(new RowTable(), mine);
      merged.takeOver(b.all(), b.deletions());
      merged.takeOver(b.all(), b.deletions());
      for (const id of ["r0", "r1", "r2"]) {
        const versionIn = (table: RowTable): number =>
          [...table.all()].find((row) => row.id === id)?.version ??
          new Map(table.deletions()).get(`t\0task\0${id}`) ??
          -1;
        expect(versionIn(merged)).toBe(Math.max(versionIn(a), versionIn(b)));
      }
      expect(said(merged)[0]?.length).toBe(merged.size);
    }),
  );
});
