/**
 * Which views a change may concern, of many.
 *
 * A view whose query demands that a column equal a value, or one of a few, is found under that value; the
 * others are asked one by one. A row concerns a view by what it was, too: it may have to leave. So both of
 * its states are looked up, and a view that is found may still say that the row is none of its own.
 *
 * Rules: SPEC.md, section V (V5).
 */
import type { Query, Test } from "./query.ts";
import { ID_COLUMN, type Row, type RowChange, type Scalar } from "./row.ts";
import type { View } from "./view.ts";

/** Values of one column under which one view stands. */
const ANCHORS_MAX = 16;

type ByValue = Map<Scalar, Set<View>>;

/** The views of one entity of one tenant. */
class Group {
  readonly #anchored = new Map<number, ByValue>();
  readonly #others = new Set<View>();

  get isEmpty(): boolean {
    return this.#others.size === 0 && this.#anchored.size === 0;
  }

  add(view: View): void {
    const anchor = anchorOf(view.query);
    if (anchor === undefined) {
      this.#others.add(view);
      return;
    }
    const byValue = this.#anchored.get(anchor.column) ?? new Map();
    this.#anchored.set(anchor.column, byValue);
    for (const value of anchor.values) {
      const views = byValue.get(value) ?? new Set();
      byValue.set(value, views.add(view));
    }
  }

  delete(view: View): void {
    this.#others.delete(view);
    const anchor = anchorOf(view.query);
    const byValue = anchor && this.#anchored.get(anchor.column);
    if (anchor === undefined || byValue === undefined) return;
    for (const value of anchor.values) {
      const views = byValue.get(value);
      views?.delete(view);
      if (views?.size === 0) byValue.delete(value);
    }
    if (byValue.size === 0) this.#anchored.delete(anchor.column);
  }

  visitAll(visit: (view: View) => void): void {
    const views = new Set(this.#others);
    for (const byValue of this.#anchored.values()) {
      for (const anchored of byValue.values()) for (const view of anchored) views.add(view);
    }
    for (const view of views) visit(view);
  }

  visit(before: Row | undefined, after: Row | undefined, visit: (view: View) => void): void {
    for (const view of this.#others) visit(view);
    for (const [column, byValue] of this.#anchored) {
      const was = before?.values[column];
      const is = after?.values[column];
      const now = is === undefined ? undefined : byValue.get(is);
      if (now !== undefined) for (const view of now) visit(view);
      if (was === undefined || was === is) continue;
      for (const view of byValue.get(was) ?? []) if (now?.has(view) !== true) visit(view);
    }
  }
}

export class ViewIndex {
  readonly #groups = new Map<string, Group>();

  add(view: View): void {
    const key = keyOf(view.query.tenant, view.query.table.entity);
    const group = this.#groups.get(key) ?? new Group();
    this.#groups.set(key, group);
    group.add(view);
  }

  delete(view: View): void {
    const key = keyOf(view.query.tenant, view.query.table.entity);
    const group = this.#groups.get(key);
    group?.delete(view);
    if (group?.isEmpty) this.#groups.delete(key);
  }

  /** Visits each view that a change may concern, once. */
  visit(change: RowChange, visit: (view: View) => void): void {
    const { tenant, entity, before, after, isBeforeUnknown = false } = change;
    const group = this.#groups.get(keyOf(tenant, entity));
    if (isBeforeUnknown) group?.visitAll(visit);
    else group?.visit(before, after, visit);
  }
}

const keyOf = (tenant: string, entity: string): string => `${tenant}\0${entity}`;

/** The test under whose values a view is found: one that must hold, and that few rows pass. */
function anchorOf({ clauses, table }: Query): Test | undefined {
  let best: Test | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (const alternatives of clauses) {
    const test = alternatives.length === 1 ? alternatives[0]?.[0] : undefined;
    if (test === undefined || (test.op !== "eq" && test.op !== "in")) continue;
    if (test.values.length > ANCHORS_MAX) continue;
    // An id is one row; of two values of a boolean each is half of them.
    const rarity =
      test.column === ID_COLUMN ? 0 : table.types[test.column] === "boolean" ? 1000 : 1;
    const rank = rarity * test.values.length;
    if (rank >= bestRank) continue;
    best = test;
    bestRank = rank;
  }
  return best;
}
