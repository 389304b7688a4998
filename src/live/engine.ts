/**
 * The views of one shard: queries of equal shape share one, and a change finds those that it concerns.
 *
 * The engine is told of changes in the order of their positions, and asks for rows where views need them;
 * who tells and who reads is not its business.
 *
 * Rules: SPEC.md, section V.
 */
import { assert } from "../core/assert.ts";
import type { Query } from "./query.ts";
import type { RowChange } from "./row.ts";
import { type Batch, type ReadRequest, type ReadResult, View } from "./view.ts";
import { ViewIndex } from "./view-index.ts";

export type Told = (view: View, batch: Batch) => void;

export class Engine {
  readonly #views = new Map<string, View>();
  readonly #index = new ViewIndex();
  /** Views that may want to read. */
  readonly #hungry = new Set<View>();
  #position: number;

  readonly #cushion: number | undefined;

  /** All changes up to `position` are over. `cushion` as that of every view; by default each has its own. */
  constructor(position: number, cushion?: number) {
    this.#position = position;
    this.#cushion = cushion;
  }

  /** How many views there are. */
  get size(): number {
    return this.#views.size;
  }

  /** The view of a query [V1]: there is one for each shape. */
  view(query: Query): View {
    const known = this.#views.get(query.shape);
    if (known !== undefined) return known;
    const view = new View(query, this.#cushion);
    this.#views.set(query.shape, view);
    this.#index.add(view);
    this.#hungry.add(view);
    return view;
  }

  /** Whether the view is one of this engine, still. */
  has(view: View): boolean {
    return this.#views.get(view.query.shape) === view;
  }

  drop(view: View): void {
    if (!this.has(view)) return;
    this.#views.delete(view.query.shape);
    this.#index.delete(view);
    this.#hungry.delete(view);
  }

  /** A row has changed. `told` hears of every view whose subscribers are to be told. */
  change(change: RowChange, told: Told): void {
    const { position, id, after } = change;
    assert(position > this.#position, "changes of a shard come in the order of their positions");
    this.#position = position;
    this.#index.visit(change, (view) => {
      const batch = view.change(position, id, after);
      if (view.isHungry) this.#hungry.add(view);
      if (batch !== undefined) told(view, batch);
    });
  }

  /** All changes up to `position` are over, though nobody told of them: no view was loaded before. */
  skipTo(position: number): void {
    this.#position = Math.max(this.#position, position);
  }

  /** All changes up to it are over. */
  get position(): number {
    return this.#position;
  }

  /** The next view that wants to read, and what. */
  nextRead(): { readonly view: View; readonly request: ReadRequest } | undefined {
    for (const view of this.#hungry) {
      this.#hungry.delete(view);
      const request = view.read(this.#position);
      if (request !== undefined) return { view, request };
    }
    return undefined;
  }

  /** The rows that a view wanted. What its subscribers are to be told, where it was loaded before. */
  loaded(view: View, result: ReadResult): Batch | undefined {
    if (!this.has(view)) return undefined;
    this.#hungry.add(view);
    return view.loaded(result);
  }

  /** They could not be read: it will be tried again. */
  readFailed(view: View): void {
    view.readFailed();
    if (this.has(view)) this.#hungry.add(view);
  }
}
