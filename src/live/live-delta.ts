/**
 * Deltas as users see them: rows with columns by name, and where the window stands.
 *
 * Rules: SPEC.md, section V (V3, V8).
 */
import { isWellFormed } from "../core/canonical.ts";
import { WRITER_LENGTH_MAX } from "../core/limits.ts";
import type { Delta } from "./delta.ts";
import type { News, Position } from "./gateway.ts";
import type { Query } from "./query.ts";
import type { Row, Scalar, Table } from "./row.ts";

/** A row of a window. */
export interface LiveRow {
  readonly id: string;
  readonly version: number;
  readonly columns: Readonly<Record<string, Scalar>>;
}

interface Place {
  /** Where the row is, from 0, once this delta and those before it have been applied. */
  readonly index: number;
  readonly row: LiveRow;
}

/**
 * One step of a window. Steps up to one with `at` belong together: only then the window is that of some
 * moment. `at` names that moment, for `resume`.
 */
export type LiveDelta = { readonly at?: string } & (
  | {
      /** What is known is void: so many rows follow, as `enter` or `match`, and are all there is. */
      readonly type: "reset";
      readonly rows: number;
    }
  | ({ readonly type: "enter" } & Place)
  | { readonly type: "leave"; readonly index: number; readonly id: string }
  | ({ readonly type: "move"; readonly from: number; readonly changed: readonly string[] } & Place)
  | ({ readonly type: "update"; readonly changed: readonly string[] } & Place)
  | {
      /** Of a streamed query: a row has come to match, or changed and matches. */
      readonly type: "match";
      readonly row: LiveRow;
      readonly changed: readonly string[];
    }
  | { readonly type: "unmatch"; readonly id: string }
  | {
      /** Deltas were left out, since too many waited to be read. A reset follows. */
      readonly type: "lagged";
    }
);

/** What a client of `query` is to be told. */
export function liveDeltas(news: Exclude<News, { type: "ended" }>, query: Query): LiveDelta[] {
  const { table } = query;
  const isStreamed = query.mode === "streamed";
  const deltas: LiveDelta[] =
    news.type === "reset"
      ? [
          { type: "reset", rows: news.rows.length },
          ...news.rows.map((row, index) =>
            isStreamed ? match(row, [], table) : enter(row, index, table),
          ),
        ]
      : news.batch.deltas.map((delta) =>
          isStreamed ? streamedDelta(delta, table) : liveDelta(delta, table),
        );
  const last = deltas.length - 1;
  deltas[last] = { ...(deltas[last] as LiveDelta), at: positionText(news.at) };
  return deltas;
}

function liveDelta(delta: Delta, table: Table): LiveDelta {
  switch (delta.type) {
    case "enter":
      return enter(delta.row, delta.index, table);
    case "leave":
      return delta;
    case "update":
    case "move":
      return {
        ...delta,
        row: liveRow(delta.row, table),
        changed: delta.changed.map((column) => table.names[column] as string),
      };
  }
}

function streamedDelta(delta: Delta, table: Table): LiveDelta {
  if (delta.type === "leave") return { type: "unmatch", id: delta.id };
  return match(delta.row, delta.type === "enter" ? [] : delta.changed, table);
}

const enter = (row: Row, index: number, table: Table): LiveDelta => ({
  ...{ type: "enter", index, row: liveRow(row, table) },
});

const match = (row: Row, changed: readonly number[], table: Table): LiveDelta => ({
  ...{ type: "match", row: liveRow(row, table) },
  changed: changed.map((column) => table.names[column] as string),
});

const liveRow = (row: Row, table: Table): LiveRow => ({
  ...{ id: row.id, version: row.version, columns: table.columnsOf(row) },
});

function positionText({ token, writer, sequence }: Position): string {
  return `${sequence}.${token}.${writer}`;
}

/** The position that `at` of a delta names; undefined when it names none. */
export function readPosition(at: unknown): Position | undefined {
  if (typeof at !== "string" || at.length > WRITER_LENGTH_MAX + 40) return undefined;
  const [, sequence, token, writer] = /^(\d{1,16})\.(\d{1,16})\.(.*)$/s.exec(at) ?? [];
  const position = { sequence: Number(sequence), token: Number(token), writer: writer ?? "" };
  const isSafe = Number.isSafeInteger(position.sequence) && Number.isSafeInteger(position.token);
  return isSafe && isWellFormed(position.writer) ? position : undefined;
}
