/**
 * Replicas that are written, deleted from and told of each other's entries in any order, with loss
 * and repetition: the states that can be reached, where random entries would only ever collide.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { HybridClock } from "../../src/core/clock.ts";
import { LwwMap } from "../../src/core/lww-map.ts";
import type { Entry } from "../../src/core/message.ts";
import { compareEntries, modelOf } from "./entries.ts";

const WALL_MS = Date.UTC(2026, 0, 1);

type Turn =
  | { readonly type: "write"; readonly at: number; readonly key: string; readonly value: number }
  | { readonly type: "delete"; readonly at: number; readonly key: string }
  /** An earlier message reaches a replica: any, also for the second time, or never. */
  | { readonly type: "deliver"; readonly at: number; readonly message: number }
  /** A replica sends all that it has. */
  | { readonly type: "dump"; readonly at: number }
  /** Time passes, and every wall clock with it; or one of them is set. */
  | { readonly type: "pass"; readonly ms: number }
  | { readonly type: "set"; readonly at: number; readonly offsetMs: number };

const place = fc.nat(6);
const key = fc.constantFrom("a", "b", "c");
const turn: fc.Arbitrary<Turn> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant("write"), at: place, key, value: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("delete"), at: place, key }) },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant("deliver"), at: place, message: fc.nat() }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("dump"), at: place }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("pass"), ms: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("set"),
      at: place,
      offsetMs: fc.integer({ min: -2000, max: 2000 }),
    }),
  },
) as fc.Arbitrary<Turn>;

class Peer {
  readonly map = new LwwMap<number>();
  readonly clock = new HybridClock();
  readonly name: string;
  offsetMs = 0;

  constructor(name: string) {
    this.name = name;
  }

  write(key: string, value: number | undefined, nowMs: number): Entry<number> {
    const stamp = { time: this.clock.next(WALL_MS + nowMs + this.offsetMs), writer: this.name };
    const won = value === undefined ? this.map.delete(key, stamp) : this.map.put(key, value, stamp);
    expect(won).toBe(true); // [C3] A peer's own write wins over all that it has seen.
    expect(this.map.get(key)).toBe(value);
    return { key, value, ...stamp };
  }

  receive(entries: readonly Entry<number>[], nowMs: number): Entry<number>[] {
    for (const { time } of entries) {
      expect(this.clock.observe(time, WALL_MS + nowMs + this.offsetMs)).toBe(true);
    }
    return this.map.merge(entries);
  }
}

interface Run {
  readonly peers: readonly Peer[];
  readonly written: readonly Entry<number>[];
}

/** Plays a history; `check` sees each delivery. */
function play(
  count: number,
  turns: readonly Turn[],
  check: (before: Entry<number>[], sent: Entry<number>[], won: Entry<number>[]) => void = () => {},
): Run {
  const peers = Array.from({ length: count }, (_, number) => new Peer(`p${number}`));
  const written: Entry<number>[] = [];
  const messages: Entry<number>[][] = [];
  let nowMs = 0;
  for (const one of turns) {
    const peer = peers[("at" in one ? one.at : 0) % count] as Peer;
    if (one.type === "pass") nowMs += one.ms;
    else if (one.type === "set") peer.offsetMs = one.offsetMs;
    else if (one.type === "dump") messages.push(peer.map.all());
    else if (one.type === "deliver") {
      const sent = messages[one.message % Math.max(1, messages.length)] ?? [];
      const before = peer.map.all();
      const won = peer.receive(sent, nowMs);
      check(before, sent, won);
      if (won.length > 0) messages.push(won); // [G2] Only what won goes on.
    } else {
      const entry = peer.write(one.key, one.type === "write" ? one.value : undefined, nowMs);
      written.push(entry);
      messages.push([entry]);
    }
  }
  return { peers, written };
}

const count = fc.integer({ min: 2, max: 7 });
const turns = fc.array(turn, { maxLength: 60, size: "max" });

/** Everybody hears everything, along a chain there and back. */
function exchangeAll(peers: readonly Peer[]): void {
  const pairs = peers.slice(1).map((peer, at) => [peers[at] as Peer, peer] as const);
  for (const [a, b] of [...pairs, ...pairs.toReversed()]) {
    b.receive(a.map.all(), 10_000);
    a.receive(b.map.all(), 10_000);
  }
}

test("[M1, G9] any history ends in equal maps after everybody has heard of everything", () => {
  fc.assert(
    fc.property(count, turns, (peerCount, all) => {
      const { peers, written } = play(peerCount, all);
      exchangeAll(peers);
      const [first] = peers;
      for (const { map } of peers) {
        expect(map.all()).toEqual(modelOf(written as Entry[]));
        expect(map.fingerprint()).toBe(first?.map.fingerprint());
      }
    }),
    { numRuns: 200 },
  );
});

test("[C3] of two writes of one peer to a key, the later one is the higher, whatever its wall clock", () => {
  fc.assert(
    fc.property(count, turns, (peerCount, all) => {
      const { written } = play(peerCount, all);
      const last = new Map<string, Entry<number>>();
      for (const entry of written) {
        const earlier = last.get(`${entry.writer} ${entry.key}`);
        if (earlier !== undefined) {
          expect(compareEntries(entry as Entry, earlier as Entry)).toBeGreaterThan(0);
        }
        last.set(`${entry.writer} ${entry.key}`, entry);
      }
    }),
  );
});

test("[C3] no two writes of a history have the same stamp", () => {
  fc.assert(
    fc.property(count, turns, (peerCount, all) => {
      const { written } = play(peerCount, all);
      const stamps = new Set(written.map(({ time, writer }) => `${time} ${writer}`));
      expect(stamps.size).toBe(written.length);
    }),
  );
});

test("[G2] what is told on is new: nothing that a replica had already, or had something higher for", () => {
  fc.assert(
    fc.property(count, turns, (peerCount, all) => {
      play(peerCount, all, (before, sent, won) => {
        const isNews = (entry: Entry<number>) => {
          const known = before.find((one) => one.key === entry.key);
          return known === undefined || compareEntries(entry as Entry, known as Entry) > 0;
        };
        expect(modelOf(won as Entry[])).toEqual(modelOf(sent.filter(isNews) as Entry[]));
      });
    }),
  );
});

test("[M4] a deletion that is the newest thing written leaves the key deleted everywhere", () => {
  fc.assert(
    fc.property(count, turns, place, (peerCount, all, at) => {
      const { peers, written } = play(peerCount, all);
      exchangeAll(peers);
      const peer = peers[at % peerCount] as Peer;
      peer.write("a", undefined, 10_000);
      // Old entries keep coming, in any order.
      for (const other of peers) other.receive(written.toReversed(), 10_000);
      exchangeAll(peers);
      for (const { map } of peers) expect(map.get("a")).toBeUndefined();
    }),
  );
});
