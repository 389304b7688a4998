/**
 * What live queries must do wherever rows live: in the peers, or at a source of the user's.
 */
import { describe, expect, test } from "vitest";
import { Random } from "../../src/core/random.ts";
import type { LiveQuery } from "../../src/live/query.ts";
import type { Scalar } from "../../src/live/row.ts";
import type { Peer } from "../../src/peer.ts";
import { FollowedWindow } from "../live/follower.ts";

export interface RowsHarness {
  /** Two peers, of which the second hosts the rows of entity "task" of tenant "t". */
  readonly peers: readonly [Peer, Peer];
  put(id: string, columns: Readonly<Record<string, Scalar>>): Promise<void>;
  delete(id: string): Promise<void>;
  /** Gives the rows' shard to the other peer. */
  move(): Promise<void>;
}

const QUERY = {
  ...{ tenant: "t", entity: "task", limit: 3 },
  sort: [{ column: "priority", descending: true }],
} as const;

export function liveRowsContract(name: string, create: () => Promise<RowsHarness>): void {
  describe(name, () => {
    test("[V2, V15] a window is right from its first rows on, whatever is written meanwhile", async () => {
      const { peers, ...rows } = await create();
      const [a, b] = peers;
      const random = new Random(7);
      const model = new Map<string, { priority: number; done: boolean }>();
      const write = async (): Promise<void> => {
        const id = `r${random.below(40)}`;
        if (random.below(4) === 0) {
          await rows.delete(id);
          model.delete(id);
        } else {
          const columns = { priority: random.below(1000), done: random.below(2) === 0 };
          await rows.put(id, columns);
          model.set(id, columns);
        }
      };
      for (let n = 0; n < 60; n += 1) await write();
      const asked: LiveQuery[] = [];
      const windows: FollowedWindow[] = [];
      for (let n = 0; n < 8; n += 1) {
        const where =
          n % 2 === 0 ? [] : [{ column: "done", op: "eq" as const, value: n % 4 === 1 }];
        asked.push({ ...QUERY, where, limit: 1 + n });
        const [peer, query] = [n % 3 === 0 ? a : b, asked.at(-1) as LiveQuery];
        windows.push(new FollowedWindow(peer.live.subscribe(query)));
        for (let m = 0; m < 25; m += 1) await write();
      }
      for (let n = 0; n < 100; n += 1) await write();
      const expected = (query: LiveQuery): string => {
        const wanted = query.where?.[0];
        const done = wanted !== undefined && "value" in wanted ? wanted.value : undefined;
        return [...model]
          .filter(([, row]) => done === undefined || row.done === done)
          .sort(([x, one], [y, other]) => other.priority - one.priority || (x < y ? -1 : 1))
          .slice(0, query.limit)
          .map(([id]) => id)
          .join();
      };
      for (const [n, window] of windows.entries()) {
        await window.until(({ ids }) => ids.join() === expected(asked[n] as LiveQuery));
        expect(window.resets).toBe(1);
      }
    });

    test("[V3, V15] rows enter, change, move and leave as they do at their place", async () => {
      const { peers, ...rows } = await create();
      const [a] = peers;
      for (const n of [1, 2, 3, 4]) await rows.put(`r${n}`, { priority: n, title: `t${n}` });
      const deltas = a.live.subscribe(QUERY);
      const next = async () => (await deltas.next()).value;
      expect(await next()).toEqual({ type: "reset", rows: 3 });
      for (const id of ["r4", "r3", "r2"]) {
        expect(await next()).toMatchObject({ type: "enter", row: { id } });
      }
      await rows.put("r3", { priority: 3, title: "new" });
      expect(await next()).toMatchObject({ type: "update", index: 1, changed: ["title"] });
      await rows.put("r2", { priority: 9, title: "t2" });
      expect(await next()).toMatchObject({ type: "move", from: 2, index: 0 });
      await rows.delete("r4");
      expect(await next()).toMatchObject({ type: "leave", index: 1, id: "r4" });
      expect(await next()).toMatchObject({ type: "enter", index: 2, row: { id: "r1" } });
    });

    test("[V5, V15] a streamed query tells of rows that come to match, and that do no more", async () => {
      const { peers, ...rows } = await create();
      const [, b] = peers;
      await rows.put("r1", { priority: 1 });
      const where = [{ column: "priority", op: "lt", value: 5 }] as const;
      const deltas = b.live.subscribe({ tenant: "t", entity: "task", where, mode: "streamed" });
      const next = async () => (await deltas.next()).value;
      expect(await next()).toEqual({ type: "reset", rows: 1 });
      expect(await next()).toMatchObject({ type: "match", row: { id: "r1" } });
      await rows.put("r1", { priority: 7 });
      expect(await next()).toMatchObject({ type: "unmatch", id: "r1" });
    });

    test("[V5, V15] a row leaves a query by the column that its views are found by", async () => {
      const { peers, ...rows } = await create();
      for (const n of [1, 2]) await rows.put(`r${n}`, { priority: n, done: true });
      const where = [{ column: "done", op: "eq", value: true }] as const;
      const windows = peers.map(
        (peer) => new FollowedWindow(peer.live.subscribe({ ...QUERY, where })),
      );
      for (const window of windows) await window.until(({ ids }) => ids.join() === "r2,r1");
      await rows.put("r2", { priority: 2, done: false });
      for (const window of windows) await window.until(({ ids }) => ids.join() === "r1");
      await rows.delete("r1");
      for (const window of windows) await window.until(({ ids }) => ids.join() === "");
    });

    test("[V10, V15] windows go with their shard when it moves", async () => {
      const { peers, ...rows } = await create();
      for (const n of [1, 2, 3, 4]) await rows.put(`r${n}`, { priority: n });
      const windows = peers.map((peer) => new FollowedWindow(peer.live.subscribe(QUERY)));
      for (const window of windows) await window.until(({ ids }) => ids.join() === "r4,r3,r2");
      await rows.move();
      await rows.put("r5", { priority: 5 });
      for (const window of windows) await window.until(({ ids }) => ids.join() === "r5,r4,r3");
    });
  });
}
