/**
 * A window as a user keeps one, from the deltas that a subscription gives.
 */
import { expect } from "vitest";
import type { LiveDelta, LiveRow } from "../../src/live/live-delta.ts";

/** How long something may take that must happen, in ms. */
const WAIT_MS_MAX = 15_000;

export class FollowedWindow {
  rows: LiveRow[] = [];
  resets = 0;
  lagged = 0;
  at: string | undefined;
  error: unknown;
  isOver = false;
  /** The rows of a reset that have not come. */
  #awaited = 0;
  #changed: () => void = () => {};
  readonly #onWhole: (window: FollowedWindow) => void;

  /** `onWhole` hears of every moment at which the window is whole. */
  constructor(
    deltas: AsyncIterable<LiveDelta>,
    onWhole: (window: FollowedWindow) => void = () => {},
  ) {
    this.#onWhole = onWhole;
    void this.#follow(deltas);
  }

  /** Resolves when the window is whole and `condition` holds. */
  async until(condition: (window: FollowedWindow) => boolean): Promise<void> {
    const timeout = AbortSignal.timeout(WAIT_MS_MAX);
    while (this.#awaited > 0 || !condition(this)) {
      if (timeout.aborted)
        throw new Error(`Never: ${condition}, with ${JSON.stringify(this.rows)}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        timeout.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  get ids(): string[] {
    return this.rows.map(({ id }) => id);
  }

  async #follow(deltas: AsyncIterable<LiveDelta>): Promise<void> {
    try {
      for await (const delta of deltas) this.#apply(delta);
    } catch (error) {
      this.error = error;
    }
    this.isOver = true;
    this.#awaited = 0;
    this.#changed();
  }

  #apply(delta: LiveDelta): void {
    const { rows } = this;
    switch (delta.type) {
      case "reset":
        this.rows = [];
        this.resets += 1;
        this.#awaited = delta.rows;
        break;
      case "enter":
        rows.splice(delta.index, 0, delta.row);
        this.#awaited = Math.max(0, this.#awaited - 1);
        break;
      case "leave":
        expect(rows[delta.index]?.id).toBe(delta.id);
        rows.splice(delta.index, 1);
        break;
      case "move":
        expect(rows[delta.from]?.id).toBe(delta.row.id);
        rows.splice(delta.from, 1);
        rows.splice(delta.index, 0, delta.row);
        break;
      case "update":
        expect(rows[delta.index]?.id).toBe(delta.row.id);
        rows[delta.index] = delta.row;
        break;
      case "match":
        this.rows = [...rows.filter(({ id }) => id !== delta.row.id), delta.row];
        this.#awaited = Math.max(0, this.#awaited - 1);
        break;
      case "unmatch":
        this.rows = rows.filter(({ id }) => id !== delta.id);
        break;
      case "lagged":
        this.lagged += 1;
    }
    if (delta.at !== undefined) {
      this.at = delta.at;
      this.#onWhole(this);
    }
    if (delta.at !== undefined || delta.type === "reset") this.#changed();
  }
}
