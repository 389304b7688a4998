import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareTokens } from "../../src/core/token.ts";
import { SUBSCRIBING_MAX } from "../../src/live/bounds.ts";
import { type Answer, type Control, readMessage } from "../../src/live/message.ts";
import type { LiveQuery } from "../../src/live/query.ts";
import { LiveRegion } from "../../src/live/region.ts";
import type { Scalar } from "../../src/live/row.ts";
import { Bus, type Client, type Peer, SHARD, SHARD_COUNT } from "./bus.ts";
import { ids, queryOf, rowsOf, sort, TABLES, topOf, values, where } from "./rows.ts";

const BY_PRIORITY = { sort: [{ column: "priority" }], limit: 2 } as const;
const of = (priority: number): Scalar[] => [null, priority, null, null];

function expected(owner: Peer, asked: Partial<LiveQuery>) {
  return topOf(rowsOf(owner.table), asked, queryOf(asked).sort);
}

/** One region "a" with three rows, one gateway "b" with a client. */
function pair(): { bus: Bus; a: Peer; b: Peer; client: Client } {
  const bus = new Bus(["a", "b"]);
  bus.give("a");
  for (const priority of [1, 2, 3]) bus.write("a", `r${priority}`, of(priority));
  const client = bus.subscribe("b", BY_PRIORITY);
  bus.settle(5);
  return { bus, a: bus.peer("a"), b: bus.peer("b"), client };
}

const idsOf = (client: Client) => client.rows?.map(({ id }) => id);

describe("a subscription", () => {
  test("[V7] is acknowledged, and gets all rows and then every change", () => {
    const { bus, client } = pair();
    expect([client.resets, idsOf(client)]).toEqual([1, ["r1", "r2"]]);
    bus.write("a", "r0", of(0));
    bus.settle(2);
    expect([client.resets, idsOf(client)]).toEqual([1, ["r0", "r1"]]);
  });

  test("[V5] of a shape that is followed already costs the region nothing, and is served from the copy", () => {
    const { bus, a, client } = pair();
    const second = bus.subscribe("b", { ...BY_PRIORITY, where: [] });
    bus.hear(bus.peer("b"));
    expect(second.rows).toEqual(client.rows);
    bus.settle(2);
    expect(a.region.counts).toEqual({ subscriptions: 1, views: 1 });
    bus.write("a", "r0", of(0));
    bus.settle(2);
    expect(second.rows).toEqual(client.rows);
  });

  test("[V7] ends with the last client that wants it", () => {
    const { bus, a, b, client } = pair();
    const second = bus.subscribe("b", BY_PRIORITY);
    b.gateway.unsubscribe(client.id);
    bus.settle(2);
    expect(a.region.counts.subscriptions).toBe(1);
    b.gateway.unsubscribe(second.id);
    bus.settle(2);
    expect(a.region.counts).toEqual({ subscriptions: 0, views: 0 });
    expect([...b.gateway.regions()]).toEqual([]);
    expect(b.gateway.counts).toEqual({ clients: 0, shapes: 0 });
  });

  test("[V7] is taken to another window by reanchoring, with an acknowledgement", () => {
    const { bus, a, b, client } = pair();
    b.gateway.reanchor(client.id, queryOf({ ...BY_PRIORITY, limit: 3 }), bus.now);
    const frame = b.gateway.nextFrame("a", bus.now);
    expect(frame).toMatchObject([{ type: "reanchor", from: 1, sub: 2 }]);
    for (const control of frame ?? []) a.region.received("b", control);
    bus.settle(3);
    expect([client.resets, idsOf(client)]).toEqual([2, ["r1", "r2", "r3"]]);
    expect(a.region.counts).toEqual({ subscriptions: 1, views: 1 });
    const alike = bus.subscribe("b", BY_PRIORITY);
    bus.settle(3);
    b.gateway.reanchor(client.id, queryOf(BY_PRIORITY), bus.now);
    bus.settle(3);
    expect([client.resets, idsOf(client)]).toEqual([3, idsOf(alike)]);
  });

  test("[V7] at a region that does not serve the shard is refused as moved, and tried again", () => {
    const bus = new Bus(["a", "b", "c"]);
    bus.give("a");
    bus.write("a", "r1", of(1));
    bus.learn(bus.peer("b"), "c");
    const client = bus.subscribe("b", BY_PRIORITY);
    bus.settle(20);
    expect(client.rows).toBeUndefined();
    bus.learn(bus.peer("b"), "a");
    bus.settle(5);
    expect(idsOf(client)).toEqual(["r1"]);
  });

  test("[V7] that gets no rows ends with a code, and not with silence", () => {
    const bus = new Bus(["a", "b"]);
    const client = bus.subscribe("b", BY_PRIORITY);
    bus.pass(9999);
    expect(client.ended).toBeUndefined();
    bus.pass(1);
    expect(client.ended).toBe("NO_REGION");
    bus.give("a");
    const second = bus.subscribe("b", BY_PRIORITY);
    for (let waited = 0; waited < 10_000; waited += 500) bus.pass(500); // Nothing is ever posted.
    expect(second.ended).toBe("TIMEOUT");
    expect(bus.peer("b").gateway.counts).toEqual({ clients: 0, shapes: 0 });
  });

  test("[V7] of other columns, another shard or a wrong query is refused by a code", () => {
    const region = new LiveRegion({ tables: TABLES, shardCount: SHARD_COUNT });
    region.serve(SHARD, { token: 1, writer: "w" }, 0);
    const { spec: query, table } = queryOf({});
    const good = {
      type: "subscribe",
      sub: 1,
      shard: SHARD,
      query,
      columns: table.fingerprint,
    } as const;
    const wrong: Control[] = [
      { ...good, columns: 1 },
      { ...good, shard: `${SHARD}0` },
      { ...good, query: { ...query, limit: 1e9 } },
      { ...good, query: { ...query, entity: "other" } },
    ];
    for (const control of wrong) {
      region.received("b", control);
      expect(region.nextFrame("b")).toMatchObject([
        { type: "refused", sub: 1, code: "BAD_REQUEST" },
      ]);
    }
    region.received("b", good);
    expect(region.nextFrame("b")).toEqual([{ type: "subscribed", sub: 1, token: 1, writer: "w" }]);
    region.received("b", good);
    expect(region.counts.subscriptions).toBe(1);
  });

  test("[V5] to more rows than a streamed query may have ends with BUFFER_FULL", () => {
    const bus = new Bus(["a", "b"]);
    bus.give("a");
    for (let n = 0; n < 10_000; n += 1) bus.write("a", `r${n}`, of(n));
    const client = bus.subscribe("b", { mode: "streamed" });
    bus.settle(20);
    expect(client.rows?.length).toBe(10_000);
    bus.write("a", "more", of(1));
    bus.settle(5);
    expect(client.ended).toBe("BUFFER_FULL");
    expect(bus.peer("a").region.counts).toEqual({ subscriptions: 0, views: 0 });
    const late = bus.subscribe("b", { mode: "streamed" });
    bus.settle(5);
    expect(late.ended).toBe("BUFFER_FULL");
  });
});

describe("what is missing", () => {
  const deltas = (change: Partial<Answer>): Answer => ({
    ...{ type: "deltas", sub: 1, token: 1, writer: "a", after: 3, sequence: 4, deltas: [] },
    ...(change as object),
  });

  test("[V8] a gap in the sequence, or deltas that do not fit, lead to a reset with all rows", () => {
    const wrong = [
      deltas({ after: 2 }),
      deltas({ after: 4, sequence: 5 }),
      deltas({ deltas: [{ type: "leave", index: 0, id: "other" }] }),
      deltas({
        deltas: [{ type: "enter", index: 9, row: { id: "x", version: 1, values: ["x"] } }],
      }),
    ];
    for (const answer of wrong) {
      const { bus, b, client } = pair();
      b.gateway.received("a", answer, bus.now);
      bus.hear(b);
      expect(client.resets).toBe(1); // Not a bare one.
      bus.settle(3);
      expect([client.resets, idsOf(client)]).toEqual([2, ["r1", "r2"]]);
    }
  });

  test("[V8] an answer under an older token than one that was seen is dropped", () => {
    const { bus, b, client } = pair();
    bus.give("b");
    bus.settle(3);
    expect(client.resets).toBe(2);
    // The old region takes itself for the owner still, and the table here says so, too.
    const old = bus.peer("a");
    old.region.serve(SHARD, { token: 1, writer: "a" }, old.table.position);
    bus.learn(b, "a");
    bus.write("a", "r0", of(0));
    bus.settle(50);
    expect([client.resets, idsOf(client)]).toEqual([2, ["r1", "r2"]]);
  });

  test("[V9] a gateway that cannot be posted to costs a bounded amount, and gets all rows later", () => {
    const { bus, a, client } = pair();
    a.isBlocked = true;
    const long = "x".repeat(50_000);
    for (let n = 0; n < 200; n += 1) bus.write("a", "r0", [long, -n, null, null]);
    a.isBlocked = false;
    bus.settle(30);
    expect(client.resets).toBe(2);
    expect(client.rows?.[0]?.values[2]).toBe(-199);
    bus.write("a", "r0", of(-500));
    bus.settle(2);
    expect([client.resets, client.rows?.[0]?.values[2]]).toEqual([2, -500]);
  });

  test("[V9] a frame is no longer than a post may be, whatever the rows", () => {
    const bus = new Bus(["a", "b"]);
    bus.give("a");
    const { region } = bus.peer("a");
    for (let n = 0; n < 40; n += 1) bus.write("a", `r${n}`, ["ÿ".repeat(60_000), n, null, null]);
    bus.subscribe("b", { limit: 40 });
    for (const control of bus.peer("b").gateway.nextFrame("a", 0) ?? [])
      region.received("b", control);
    for (let turn = 0; turn < 3; turn += 1) bus.read(bus.peer("a"));
    let rows = 0;
    for (let frame = region.nextFrame("b"); frame !== undefined; frame = region.nextFrame("b")) {
      expect(Buffer.byteLength(JSON.stringify(frame))).toBeLessThan(1_000_000);
      for (const answer of frame) rows += answer.type === "rows" ? answer.rows.length : 0;
    }
    expect(rows).toBe(40);
  });
});

describe("a failover", () => {
  test("[V10] subscriptions follow the shard to its next region, and clients see a reset and rows", () => {
    const { bus, a, b, client } = pair();
    bus.cut(a, b);
    bus.give("b");
    bus.write("b", "r0", of(0));
    bus.settle(5);
    expect([client.resets, idsOf(client)]).toEqual([2, ["r0", "r1"]]);
    expect(a.region.counts).toEqual({ subscriptions: 0, views: 0 });
  });

  test("[V8, V13] a row that was seen and died with its region, unacknowledged, is gone under a higher token", () => {
    const bus = new Bus(["a", "b", "c"]);
    bus.give("a");
    bus.write("a", "r1", of(1));
    const [a, b] = [bus.peer("a"), bus.peer("b")];
    const clients = [bus.subscribe("b", BY_PRIORITY), bus.subscribe("c", BY_PRIORITY)];
    bus.settle(5);
    for (const record of a.table.records("t", "task")) b.table.merge("t", "task", record);
    bus.write("a", "lost", of(0)); // Told at once; no copy of it was made.
    bus.settle(2);
    for (const client of clients) expect(idsOf(client)).toEqual(["lost", "r1"]);
    const seen = clients[0]?.at;
    for (const peer of bus.peers) bus.cut(a, peer);
    b.region.serve(SHARD, { token: 2, writer: "b" }, b.table.position);
    for (const peer of [b, bus.peer("c")]) bus.learn(peer, "b");
    bus.settle();
    for (const client of clients) {
      expect([idsOf(client), client.resets]).toEqual([["r1"], 2]);
      expect(client.at?.token).toBe(2);
    }
    // And nobody gets it back by the position at which it was seen.
    const late = bus.subscribe("c", BY_PRIORITY, seen);
    bus.settle(5);
    expect([idsOf(late), late.resets]).toEqual([["r1"], 1]);
  });

  test("[V10] a region is asked for a few subscriptions at a time", () => {
    const bus = new Bus(["a", "b"]);
    bus.give("a");
    const count = 3 * SUBSCRIBING_MAX;
    const clients = Array.from({ length: count }, (_, n) => bus.subscribe("b", { limit: n + 1 }));
    expect(bus.peer("b").gateway.nextFrame("a", 0)?.length).toBe(SUBSCRIBING_MAX);
    expect(bus.peer("b").gateway.nextFrame("a", 0)).toBeUndefined();
    bus.cut(bus.peer("a"), bus.peer("b"));
    bus.settle(4 * count);
    expect(clients.every(({ rows }) => rows?.length === 0)).toBe(true);
  });

  test("[V10] what a gateway had asked for is forgotten when it is gone", () => {
    const { a } = pair();
    a.region.lost("b");
    expect(a.region.counts).toEqual({ subscriptions: 0, views: 0 });
    expect([...a.region.ready()]).toEqual([]);
  });
});

describe("who comes back", () => {
  test("[V12] with the position that it has seen last gets what followed, at any gateway", () => {
    const { bus, client } = pair();
    const at = client.at;
    for (const priority of [0, -1, -2]) bus.write("a", `r${priority}`, of(priority));
    bus.settle(2);
    const again = bus.subscribe("b", BY_PRIORITY, at);
    again.rows = ["r1", "r2"].map((id, index) => ({
      ...{ id, version: 1, values: [id, ...of(index + 1)] },
    }));
    again.at = at;
    bus.hear(bus.peer("b"));
    expect([again.resets, again.rows]).toEqual([0, client.rows]);
    const upToDate = bus.subscribe("b", BY_PRIORITY, client.at);
    bus.hear(bus.peer("b"));
    expect(upToDate.resets).toBe(0);
    const elsewhere = bus.subscribe("a", BY_PRIORITY, client.at);
    bus.settle(3);
    expect(elsewhere.resets).toBe(0); // The same view of the same region.
  });

  test("[V12] with a position that is not remembered, or of another token, gets all rows", () => {
    const { bus, client } = pair();
    const old = client.at as NonNullable<typeof client.at>;
    for (let n = 0; n < 100; n += 1) bus.write("a", "r0", of(-n));
    bus.settle(2);
    for (const resume of [old, { ...old, token: 9 }, { ...old, sequence: 999 }]) {
      const again = bus.subscribe("b", BY_PRIORITY, resume);
      bus.hear(bus.peer("b"));
      expect([again.resets, again.rows]).toEqual([1, client.rows]);
    }
  });
});

test("[V7] whatever another peer sends is a message or nothing", () => {
  const words = fc.record(
    {
      type: fc.constantFrom(
        "subscribe",
        "reanchor",
        "unsubscribe",
        "rows",
        "deltas",
        "refused",
        "x",
      ),
      ...{ sub: fc.oneof(fc.nat(), fc.anything()), shard: fc.anything(), query: fc.anything() },
      ...{ columns: fc.anything(), from: fc.anything(), token: fc.nat(), writer: fc.string() },
      ...{ sequence: fc.nat(), after: fc.nat(), rows: fc.anything(), code: fc.anything() },
      ...{ isFirst: fc.boolean(), isLast: fc.boolean(), message: fc.anything() },
      deltas: fc.array(fc.oneof(fc.anything(), fc.array(fc.oneof(fc.nat(), fc.anything())))),
    },
    { requiredKeys: [] },
  );
  const region = new LiveRegion({ tables: TABLES, shardCount: SHARD_COUNT });
  region.serve(SHARD, { token: 1, writer: "w" }, 0);
  fc.assert(
    fc.property(fc.oneof(words, fc.anything()), (each) => {
      const message = readMessage(each);
      if (message !== undefined && ("query" in message || message.type === "unsubscribe")) {
        region.received("b", message);
      }
    }),
    { numRuns: 3000 },
  );
});

describe("through cuts, moves and stale tables", () => {
  const names = ["a", "b", "c"];
  const peer = fc.constantFrom(...names);
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant("write" as const),
        id: ids(8),
        columns: fc.option(values, { freq: 2 }),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constantFrom("post" as const, "deliver" as const),
        from: peer,
        to: peer,
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constantFrom("read" as const, "answer" as const), at: peer }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constantFrom("give" as const, "learn" as const), at: peer }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const), from: peer, to: peer }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("subscribe" as const), at: peer, where, sort }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom("leave" as const, "reanchor" as const),
        n: fc.nat(),
        where,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.nat({ max: 800 }) }),
    },
  );

  test("[V8, V10] tokens only grow, sequences have no gaps, and in the end every window is the model's", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const bus = new Bus(names);
        bus.give("a");
        let owner = "a";
        let clients = ["a", "b"].map((at) => bus.subscribe(at, { ...BY_PRIORITY }));
        const tokens = new Map<Client, Client["at"]>();
        for (const each of steps) {
          if (each.do === "write") bus.write(owner, each.id, each.columns ?? undefined);
          else if (each.do === "post") bus.post(bus.peer(each.from), bus.peer(each.to));
          else if (each.do === "deliver") bus.deliver(bus.peer(each.from), bus.peer(each.to));
          else if (each.do === "read") bus.read(bus.peer(each.at));
          else if (each.do === "answer") bus.answer(bus.peer(each.at));
          else if (each.do === "cut") bus.cut(bus.peer(each.from), bus.peer(each.to));
          else if (each.do === "pass") bus.pass(each.ms);
          else if (each.do === "give") {
            // Who does not know yet finds out when it asks, or is told.
            bus.give(each.at, { knowing: bus.peers.filter(({ name }) => name <= each.at) });
            bus.peer(owner).region.release(SHARD);
            owner = each.at;
            const { table, region } = bus.peer(owner);
            region.serve(SHARD, { token: 1000 + bus.now, writer: owner }, table.position);
            bus.now += 1;
          } else if (each.do === "learn") bus.learn(bus.peer(each.at), owner);
          else if (each.do === "subscribe") {
            clients.push(bus.subscribe(each.at, { where: each.where, sort: each.sort, limit: 3 }));
          } else if (each.do === "leave" || each.do === "reanchor") {
            const client = clients[each.n % Math.max(1, clients.length)];
            if (client === undefined || client.ended !== undefined) continue;
            if (each.do === "leave") {
              client.gateway.gateway.unsubscribe(client.id);
              clients = clients.filter((other) => other !== client);
            } else {
              client.asked = { where: each.where, limit: 4 };
              client.gateway.gateway.reanchor(client.id, queryOf(client.asked), bus.now);
              tokens.delete(client);
            }
          }
          for (const peer of bus.peers) bus.hear(peer);
          for (const client of clients) {
            const before = tokens.get(client);
            if (before !== undefined && client.at !== undefined) {
              expect(compareTokens(client.at, before)).toBeGreaterThanOrEqual(0);
            }
            tokens.set(client, client.at);
          }
        }
        for (const peer of bus.peers) bus.learn(peer, owner);
        bus.settle();
        for (const client of clients) {
          if (client.ended !== undefined) expect(["NO_REGION", "TIMEOUT"]).toContain(client.ended);
          else expect(client.rows).toEqual(expected(bus.peer(owner), client.asked));
        }
        for (const client of clients) client.gateway.gateway.unsubscribe(client.id);
        bus.settle(20);
        for (const { region, gateway } of bus.peers) {
          expect(region.counts).toEqual({ subscriptions: 0, views: 0 });
          expect(gateway.counts).toEqual({ clients: 0, shapes: 0 });
          expect([...gateway.regions()]).toEqual([]);
        }
      }),
      { numRuns: 600 },
    );
  });
});
