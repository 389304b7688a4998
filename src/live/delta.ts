/**
 * What changes in a window, as steps that are applied one after another.
 *
 *   leave 49          the row at 49 goes
 *   enter 3, row      a row comes in at 3
 *   move 7 -> 2, row  the row at 7 is taken out and comes in at 2, with its new values
 *   update 5, row     the row at 5 has new values
 *
 * Steps of one change belong together: between them the window is not that of any moment. A window is
 * never longer than its limit, so a row that is pushed out leaves before the one that pushes enters.
 *
 * Rules: SPEC.md, section V (V3).
 */
import type { Row } from "./row.ts";

export type Delta =
  | { readonly type: "enter"; readonly index: number; readonly row: Row }
  | { readonly type: "leave"; readonly index: number; readonly id: string }
  | {
      readonly type: "move";
      readonly from: number;
      readonly index: number;
      readonly row: Row;
      /** The numbers of the columns whose values are others now. */
      readonly changed: readonly number[];
    }
  | {
      readonly type: "update";
      readonly index: number;
      readonly row: Row;
      readonly changed: readonly number[];
    };

/** The numbers of the columns in which two rows differ. */
export function changedColumns(before: Row, after: Row): number[] {
  const changed: number[] = [];
  for (let column = 0; column < after.values.length; column += 1) {
    if (before.values[column] !== after.values[column]) changed.push(column);
  }
  return changed;
}

/** Applies deltas to a window. False, with the window in an unknown state, when they do not fit it. */
export function applyDeltas(rows: Row[], deltas: readonly Delta[]): boolean {
  for (const delta of deltas) {
    switch (delta.type) {
      case "enter":
        if (delta.index > rows.length) return false;
        rows.splice(delta.index, 0, delta.row);
        break;
      case "leave":
        if (rows[delta.index]?.id !== delta.id) return false;
        rows.splice(delta.index, 1);
        break;
      case "update":
        if (rows[delta.index]?.id !== delta.row.id) return false;
        rows[delta.index] = delta.row;
        break;
      case "move":
        if (rows[delta.from]?.id !== delta.row.id) return false;
        rows.splice(delta.from, 1);
        if (delta.index > rows.length) return false;
        rows.splice(delta.index, 0, delta.row);
    }
  }
  return true;
}

/** The deltas that lead from one window to another. */
export function differences(before: readonly Row[], after: readonly Row[]): Delta[] {
  const deltas: Delta[] = [];
  const wanted = new Set(after.map(({ id }) => id));
  const rows = [...before];
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    const { id } = rows[index] as Row;
    if (wanted.has(id)) continue;
    deltas.push({ type: "leave", index, id });
    rows.splice(index, 1);
  }
  const left = new Set(rows.map(({ id }) => id));
  after.forEach((row, index) => {
    const present = rows[index];
    if (present?.id === row.id) {
      const changed = changedColumns(present, row);
      if (present.version !== row.version || changed.length > 0) {
        deltas.push({ type: "update", index, row, changed });
      }
    } else if (left.has(row.id)) {
      const from = rows.findIndex(({ id }, at) => at > index && id === row.id);
      const [moved] = rows.splice(from, 1);
      deltas.push({ type: "move", from, index, row, changed: changedColumns(moved as Row, row) });
      rows.splice(index, 0, row);
    } else {
      deltas.push({ type: "enter", index, row });
      rows.splice(index, 0, row);
    }
  });
  return deltas;
}
