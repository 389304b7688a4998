import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ItemMessage } from "../../src/items/item-messages.ts";
import { Group, type ItemPeer, numbersIn, SHARD, updateOf } from "./group.ts";

const contents = (group: Group, item: string) =>
  group.peers.map(({ name, store }) => [name, [...numbersIn(store.read(SHARD, item))].sort()]);

describe("one leader", () => {
  test("[Y3] what is appended is acknowledged when another copy is durable, and all replicas get it", () => {
    const group = new Group("a b c d");
    group.lead("a");
    group.deliver();
    expect(group.peer("a").items.isReady(SHARD)).toBe(true);
    group.peer("a").append("x", 1);
    expect(group.peer("a").acknowledged).toEqual(new Set());
    group.deliver();
    expect(group.peer("a").acknowledged).toEqual(new Set([1]));
    expect(contents(group, "x")).toEqual([
      ["a", [1]],
      ["b", [1]],
      ["c", [1]],
      ["d", []],
    ]);
  });

  test.each([
    [1, 0],
    [2, 1],
    ["all", 2],
  ] as const)("[Y3] with acks %s, %i other copies have to be durable", (acks, others) => {
    const group = new Group("a b c", { acks });
    const writes: (() => void)[] = [];
    for (const name of ["b", "c"]) {
      group.peer(name).store.sync = (done) => void writes.push(done);
    }
    group.lead("a");
    group.deliver();
    group.peer("a").append("x", 1);
    let needed = 0;
    for (group.deliver(); !group.peer("a").acknowledged.has(1); needed += 1) {
      writes.shift()?.();
      group.deliver();
    }
    expect(needed).toBe(others);
  });

  test("[Y3] who is alone acknowledges what is durable here, and a copy that goes is not waited for", () => {
    const group = new Group("a b", { acks: "all" });
    group.peer("b").store.sync = () => {};
    group.lead("a");
    group.deliver();
    group.peer("a").append("x", 1);
    group.deliver();
    expect(group.peer("a").acknowledged.size).toBe(0);
    group.crash("b");
    expect(group.peer("a").acknowledged.size).toBe(1);
    group.peer("a").append("x", 2);
    expect(group.peer("a").acknowledged.size).toBe(2);
  });

  test("[Y10] what comes while the disk of a copy is busy is not acknowledged with what came before", () => {
    const group = new Group("a b");
    const writes: (() => void)[] = [];
    group.peer("b").store.sync = (done) => void writes.push(done);
    group.lead("a");
    group.deliver();
    for (const number of [1, 2]) {
      group.peer("a").append("x", number);
      group.deliver();
    }
    writes.shift()?.();
    group.deliver();
    expect(group.peer("a").acknowledged).toEqual(new Set([1]));
    writes.shift()?.();
    group.deliver();
    expect(group.peer("a").acknowledged).toEqual(new Set([1, 2]));
  });

  test("[Y5] an invitation that was long on its way does not take a copy from the leader after it", () => {
    const group = new Group("a b c d");
    group.lead("a");
    group.deliver();
    group.peer("a").append("x", 1);
    group.lead("c");
    group.lead("b");
    group.settle(); // The messages of "b" arrive before those of "c".
    expect(group.peer("b").contentOf("x")).toEqual(new Set([1]));
  });

  test("[Y4] a copy that has missed something catches up, and gets nothing twice", () => {
    const group = new Group("a b");
    group.lead("a");
    group.deliver();
    for (let number = 0; number < 10; number += 1) {
      group.peer("a").append("x", number);
      group.deliver();
      if (number === 3) group.cut("a", "b");
      if (number === 7) group.heal();
    }
    group.deliver();
    expect(contents(group, "x")[0]?.[1]).toEqual(contents(group, "x")[1]?.[1]);
    expect(group.peer("b").store.items(SHARD).get("x")?.bytes).toBe(20);
  });

  test("[Y4] a copy with many parts is compacted, here and there", () => {
    const group = new Group("a b");
    group.lead("a");
    group.deliver();
    for (let number = 0; number < 1200; number += 1) group.peer("a").append("x", number);
    group.deliver();
    for (const { store } of group.peers) {
      expect(numbersIn(store.read(SHARD, "x")).size).toBe(1200);
      expect(store.items(SHARD).get("x")?.parts).toBeLessThan(500);
    }
  });
});

describe("the next leader", () => {
  test("[Y5] it begins with what the others have kept, before it serves", () => {
    const group = new Group("a b c", { replicas: 1 });
    group.lead("a");
    group.deliver();
    group.peer("a").append("x", 1);
    group.deliver();
    group.crash("a");
    group.lead("c");
    expect(group.peer("c").items.isReady(SHARD)).toBe(false);
    group.deliver();
    expect(group.peer("c").items.isReady(SHARD)).toBe(true);
    expect(group.peer("c").contentOf("x")).toEqual(new Set([1]));
  });

  /** Two hundred items at three peers, and a fourth one that is to lead them now. */
  function moving(): { group: Group; next: ItemPeer; heard: ItemMessage[] } {
    const group = new Group("a b c d", { replicas: 2 });
    group.lead("a");
    group.deliver();
    for (let item = 0; item < 200; item += 1) group.peer("a").append(`item-${item}`, item);
    group.settle();
    const next = group.peer("d");
    const heard: ItemMessage[] = [];
    for (const peer of group.peers) {
      const { items } = peer;
      const received = items.received.bind(items);
      items.received = (from, message) => {
        if (from === "d" || peer === next) heard.push(message);
        received(from, message);
      };
    }
    return { group, next, heard };
  }

  const countOf = (messages: readonly ItemMessage[], type: ItemMessage["type"]): number =>
    messages.filter((message) => message.type === type).length;

  test("[Y5] what somebody waits for comes first, and is served and acknowledged before all is here", () => {
    const { group, next } = moving();
    next.awaited.add("item-150");
    group.lead("d");
    for (let turn = 0; !next.items.isReady(SHARD, "item-150"); turn += 1) {
      expect(turn).toBeLessThan(100);
      group.deliver(() => 0, 1);
    }
    expect(next.contentOf("item-150")).toEqual(new Set([150]));
    expect(next.arrived).toContain("item-150");
    expect(next.items.isReady(SHARD)).toBe(false);
    expect(next.items.isReady(SHARD, "item-199")).toBe(false);
    next.append("item-150", 1000);
    while (!next.acknowledged.has(1000)) group.deliver(() => 0, 1);
    expect(next.items.isReady(SHARD)).toBe(false);
    next.append("item-150", 1001);
    group.settle();
    expect(next.items.isReady(SHARD)).toBe(true);
    for (const name of ["a", "b", "d"]) {
      expect(group.peer(name).contentOf("item-150")).toEqual(new Set([150, 1000, 1001]));
      expect(group.peer(name).contentOf("item-199")).toEqual(new Set([199]));
    }
  });

  test("[Y5] no copy is fetched twice, and nobody is invited again while the answer is on its way", () => {
    const { group, next, heard } = moving();
    group.lead("d");
    group.settle();
    expect(next.items.isReady(SHARD)).toBe(true);
    expect(countOf(heard, "content")).toBe(200);
    expect(countOf(heard, "invite")).toBeLessThanOrEqual(6);
  });

  test("[Y5] who does not answer is waited for a bounded time, and merged when it comes", () => {
    const group = new Group("a b");
    group.lead("a");
    group.deliver();
    group.peer("a").append("x", 1);
    group.lead("b"); // Nothing is delivered.
    group.tick(99);
    expect(group.peer("b").items.isReady(SHARD)).toBe(false);
    group.tick(1);
    expect(group.peer("b").items.isReady(SHARD)).toBe(true);
    expect(group.peer("b").contentOf("x")).toEqual(new Set());
    group.settle();
    expect(group.peer("b").contentOf("x")).toEqual(new Set([1]));
  });

  test("[Y5] who offered before anybody led, and was no member when somebody did, is asked when it is one", () => {
    const group = new Group("a b");
    group.lead("a");
    group.deliver();
    group.peer("a").append("x", 1);
    group.settle();
    group.crash("a");
    group.restart("a", true, undefined);
    group.settle(); // The offer comes to nothing.
    const leader = group.peer("a");
    const { others } = leader;
    leader.others = () => new Set();
    group.lead("a");
    group.settle();
    expect(leader.items.isReady(SHARD)).toBe(true);
    expect(leader.contentOf("x")).toEqual(new Set());
    leader.others = others;
    leader.items.viewChanged();
    group.settle();
    expect(leader.contentOf("x")).toEqual(new Set([1]));
  });

  test("[Y5] a copy that nobody needs is dropped once those that count have it", () => {
    const group = new Group("a b c d", { replicas: 1 });
    group.lead("d");
    group.deliver();
    group.peer("d").append("x", 1);
    group.deliver();
    group.lead("b");
    group.settle();
    expect(contents(group, "x").filter(([, numbers]) => (numbers?.length ?? 0) > 0)).toEqual([
      ["a", [1]],
      ["b", [1]],
    ]);
  });
});

describe("two leaders", () => {
  const cut = (): Group => {
    const group = new Group("a b c");
    group.lead("a");
    group.deliver();
    group.peer("a").append("x", 1);
    group.deliver();
    group.cut("a", "b");
    group.cut("a", "c");
    group.lead("b", ["b", "c"]);
    group.settle();
    return group;
  };

  test("[Y6] after a cut both sides' updates are in every copy", () => {
    const group = cut();
    group.peer("a").append("x", 2);
    group.peer("a").append("y", 3);
    group.peer("b").append("x", 4);
    group.settle();
    group.heal();
    group.lead("b");
    group.settle();
    for (const { store } of group.peers) {
      expect(numbersIn(store.read(SHARD, "x"))).toEqual(new Set([1, 2, 4]));
      expect(numbersIn(store.read(SHARD, "y"))).toEqual(new Set([3]));
    }
  });

  test("[Y9] a deletion on one side makes what the other side has of before it void", () => {
    const group = cut();
    group.peer("b").items.delete(SHARD, "x");
    group.peer("b").append("x", 7);
    group.peer("a").append("x", 2);
    group.settle();
    group.heal();
    group.lead("a");
    group.settle();
    for (const { store } of group.peers) {
      expect(numbersIn(store.read(SHARD, "x"))).toEqual(new Set([7]));
    }
    expect(group.peer("a").deleted).toEqual(["x"]);
  });
});

test("[Y4] content that takes more than one post arrives whole", () => {
  const group = new Group("a b");
  group.lead("a");
  group.deliver();
  const large = updateOf(Array.from({ length: 60_000 }, (_, index) => index));
  for (let part = 0; part < 30; part += 1) group.peer("a").items.append(SHARD, "x", large);
  group.cut("a", "b");
  group.peer("b").store.remove(SHARD, "x");
  group.heal();
  group.deliver();
  expect(group.peer("b").store.items(SHARD).get("x")?.bytes).toBe(30 * large.length);
});

const actions = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant("append" as const), item: fc.nat(2) }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constant("deliver" as const), count: fc.nat(12) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("lead" as const), peer: fc.nat(3) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("cut" as const), a: fc.nat(3), b: fc.nat(3) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("heal" as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("crash" as const), peer: fc.nat(3) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("restart" as const), peer: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("tick" as const), ms: fc.nat(150) }) },
  ),
  { maxLength: 60 },
);

test("[Y3, Y6] nothing that was acknowledged is missing when all has healed, and copies are equal", () => {
  fc.assert(
    fc.property(actions, fc.array(fc.nat(1000), { minLength: 1 }), (script, choices) => {
      const group = new Group("a b c d");
      let turn = 0;
      const choose = (): number => {
        turn += 1;
        return choices[turn % choices.length] as number;
      };
      let number = 0;
      group.lead("a");
      for (const action of script) {
        const name = (at: number): string => "abcd"[at] as string;
        if (action.do === "append") {
          for (const peer of group.peers) {
            const item = `item-${action.item}`;
            const leads = peer.isUp && peer.leader === peer.name;
            if (leads && peer.items.isReady(SHARD, item)) peer.append(item, ++number);
          }
        } else if (action.do === "deliver") group.deliver(choose, action.count);
        else if (action.do === "lead") {
          // Those who can hear of it do.
          const peer = group.peer(name(action.peer));
          if (peer.isUp) group.lead(peer.name, [peer.name, ...peer.others()]);
        } else if (action.do === "cut") group.cut(name(action.a), name(action.b));
        else if (action.do === "heal") group.heal();
        else if (action.do === "crash") group.crash(name(action.peer));
        else if (action.do === "restart") group.restart(name(action.peer), false, undefined);
        else group.tick(action.ms);
      }
      group.heal();
      for (const { name } of group.peers) group.restart(name, false, undefined);
      group.lead("b");
      group.settle();
      const leader = group.peer("b");
      const acknowledged = new Set(group.peers.flatMap((peer) => [...peer.acknowledged]));
      const kept = new Set([0, 1, 2].flatMap((item) => [...leader.contentOf(`item-${item}`)]));
      for (const each of acknowledged) expect(kept).toContain(each);
      for (let item = 0; item < 3; item += 1) {
        const own = leader.contentOf(`item-${item}`);
        for (const replica of group.replicasFor(leader)) {
          expect(group.peer(replica).contentOf(`item-${item}`)).toEqual(own);
          const version = (name: string) =>
            group.peer(name).store.items(SHARD).get(`item-${item}`)?.version;
          expect(version(replica)).toEqual(version("b"));
        }
        expect(leader.items.isWaiting(SHARD, `item-${item}`)).toBe(false);
      }
    }),
    { numRuns: 400 },
  );
});
