import { expect, test } from "vitest";
import type { Peer } from "../../src/peer.ts";
import { start, until } from "../peers.ts";
import { FollowedWindow } from "./follower.ts";
import { Socket } from "./live-socket.ts";
import { DECLARATIONS } from "./rows.ts";

const QUERY = { tenant: "t", entity: "task", limit: 3 };

async function metricsOf(peer: Peer): Promise<Map<string, number>> {
  const text = await (await fetch(`http://${peer.address}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith("hearsay_live"));
  return new Map(lines.map((line) => [line.replace(/ .*/, ""), Number(line.replace(/.* /, ""))]));
}

test("live queries are counted, in the status and in the metrics alike", async () => {
  const a = await start("a", { live: { entities: DECLARATIONS } });
  await until([a], () => a.allocations().length === a.shards().length);
  const nothing = { subscriptions: 0, shapes: 0, upstreams: 0, views: 0, deltas: 0, resets: 0 };
  expect(a.status().live).toEqual({ ...nothing, lagged: 0, refused: {} });
  const windows = [QUERY, QUERY, { ...QUERY, limit: 2 }].map(
    (query) => new FollowedWindow(a.live.subscribe(query)),
  );
  for (const window of windows) await window.until(({ resets }) => resets === 1);
  await a.live.put({ tenant: "t", entity: "task", id: "r1", columns: {} });
  for (const window of windows) await window.until(({ ids }) => ids.join() === "r1");
  const socket = new Socket(a);
  await socket.say({ op: "subscribe", sub: 1, query: { ...QUERY, limit: 0 } });
  expect(await socket.next()).toMatchObject({ ended: { code: "BAD_REQUEST" } });
  await fetch(`http://${a.address}/v1/live`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...QUERY, tenant: "" }),
  });
  const { live } = a.status();
  expect(live).toEqual({
    ...{ subscriptions: 3, shapes: 2, upstreams: 2, views: 2, deltas: 3, resets: 3, lagged: 0 },
    refused: { BAD_REQUEST: 2 },
  });
  const metrics = await metricsOf(a);
  expect(metrics.get("hearsay_live_subscriptions")).toBe(3);
  expect(metrics.get("hearsay_live_views")).toBe(2);
  expect(metrics.get("hearsay_live_deltas_total")).toBe(3);
  expect(metrics.get("hearsay_live_resets_total")).toBe(3);
  expect(metrics.get('hearsay_live_refused_total{code="BAD_REQUEST"}')).toBe(2);
  const status = await (await fetch(`http://${a.address}/v1/status`)).json();
  expect(status).toMatchObject({ live });
});

test("a reader who fell behind is counted, and a peer without rows counts nothing", async () => {
  const a = await start("a", { live: { entities: DECLARATIONS } });
  await until([a], () => a.allocations().length === a.shards().length);
  const deltas = a.live.subscribe(QUERY);
  await deltas.next();
  for (let n = 1; n <= 2100; n += 1) {
    await a.live.put({ tenant: "t", entity: "task", id: "r1", columns: { priority: n } });
  }
  const slow = new FollowedWindow(deltas);
  await slow.until(({ rows }) => rows[0]?.columns.priority === 2100);
  expect(a.status().live).toMatchObject({ lagged: 1, resets: 2 });
  const none = await start("none");
  expect(none.status().live).toBe(null);
  expect((await metricsOf(none)).size).toBe(0);
});
