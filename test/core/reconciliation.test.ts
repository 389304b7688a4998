import fc from "fast-check";
import { expect, test } from "vitest";
import { type Entry, type MapEntries, type Message, NO_ERA } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import { Reconciliation, WANT_BYTES_MAX } from "../../src/core/reconciliation.ts";
import { Replica } from "../../src/core/replica.ts";
import { SUMMARY_BYTES, SYMBOL_BYTES, SYMBOLS_MAX } from "../../src/core/sketch.ts";
import { entries } from "./entries.ts";

type ExchangeMessage = Parameters<Reconciliation["receive"]>[0];

/** One end of a link: merges what arrives, as a machine does, and answers. */
class Party {
  readonly replica = new Replica("x");
  readonly sync: Reconciliation;
  ended = 0;

  constructor(yields: boolean) {
    this.sync = new Reconciliation(this.replica, { yields });
  }

  write(prefix: string, from: number, count: number, time = 1, map = "m"): void {
    for (let number = from; number < from + count; number += 1) {
      this.replica.put(map, `${prefix}${number}`, number, { time, writer: "w" });
    }
  }

  receive(message: Message): readonly Message[] {
    if (message.type === "repair" || message.type === "snapshot") this.replica.merge(message.maps);
    if (message.type === "repair") return [];
    const { replies, ended } = this.sync.receive(message as ExchangeMessage);
    this.ended += Number(ended);
    return replies;
  }
}

interface Exchange {
  readonly lower: Party;
  readonly higher: Party;
  /** Types of the messages in the order of their arrival. */
  readonly seen: Message[];
}

function pair(): Exchange {
  return { lower: new Party(false), higher: new Party(true), seen: [] };
}

/** Carries messages both ways, in order on each, until none is left; the lists are used up. */
function pump(
  { lower, higher, seen }: Exchange,
  fromLower: Message[],
  fromHigher: Message[] = [],
  between: (round: number) => void = () => {},
): void {
  const queues = [fromLower, fromHigher] as const;
  for (let round = 0; queues[0].length + queues[1].length > 0; round += 1) {
    expect(round).toBeLessThan(2000);
    const isDown = queues[0].length > 0 && (round % 2 === 0 || queues[1].length === 0);
    const message = (isDown ? queues[0] : queues[1]).shift() as Message;
    seen.push(message);
    const replies = isDown ? higher.receive(message) : lower.receive(message);
    (isDown ? queues[1] : queues[0]).push(...replies);
    between(round);
  }
}

const typesOf = ({ seen }: Exchange) => seen.map(({ type }) => type);
const contentOf = ({ replica }: Party) =>
  replica
    .everything()
    .flatMap(({ map, entries: all }) => all.map((entry) => [map, entry] as const))
    .sort(([x, a], [y, b]) => (`${x} ${a.key}` < `${y} ${b.key}` ? -1 : 1));

function expectEqual({ lower, higher }: Exchange): void {
  expect(lower.replica.fingerprint()).toBe(higher.replica.fingerprint());
  expect(contentOf(lower)).toEqual(contentOf(higher));
}

const maps: fc.Arbitrary<MapEntries[]> = fc.array(
  fc.record({ map: fc.constantFrom("m", "n", "o"), entries }, { noNullPrototype: true }),
  { maxLength: 4 },
);

test("[G4] any two replicas are equal after one exchange, whoever begins it", () => {
  fc.assert(
    fc.property(maps, maps, maps, fc.boolean(), (shared, x, y, lowerBegins) => {
      const exchange = pair();
      const { lower, higher } = exchange;
      for (const party of [lower, higher]) party.replica.merge(shared);
      lower.replica.merge(x);
      higher.replica.merge(y);
      if (lowerBegins) pump(exchange, [lower.sync.begin(0)]);
      else pump(exchange, [], [higher.sync.begin(0)]);
      expectEqual(exchange);
      expect([lower.ended, higher.ended]).toEqual([1, 1]);
      expect(lower.sync.startedAt ?? higher.sync.startedAt).toBeUndefined();
    }),
  );
});

test("[G4] what is overwritten during an exchange is exchanged as well", () => {
  for (const key of ["k0", "k1"]) {
    const exchange = pair();
    const { lower, higher } = exchange;
    for (const party of [lower, higher]) party.write("k", 10, 40);
    higher.write("k", 0, 3);
    const overwrite = (): void => {
      const isCompared = exchange.seen.at(-1)?.type === "symbols" && exchange.seen.length === 2;
      if (isCompared) higher.replica.put("m", key, "new", { time: 2, writer: "w" });
    };
    pump(exchange, [lower.sync.begin(0)], [], overwrite);
    expectEqual(exchange);
    expect([lower.ended, higher.ended]).toEqual([1, 1]);
    expect(typesOf(exchange).filter((type) => type === "symbols")).toHaveLength(2);
  }
});

test("[G4] a question that comes twice ends no exchange that has yet to bring what was overwritten", () => {
  const { lower, higher } = pair();
  lower.write("k", 1, 29);
  higher.write("k", 0, 30);
  const [want] = higher.receive(lower.sync.begin(0)).flatMap((reply) => lower.receive(reply));
  higher.write("k", 0, 1, 2);
  for (const each of [want, want] as Message[]) higher.receive(each).map((m) => lower.receive(m));
  expect(lower.ended).toBe(0);
});

test("[G4] an exchange comes to an end while one key is written all the time", () => {
  const exchange = pair();
  const { lower, higher } = exchange;
  for (const party of [lower, higher]) party.write("k", 10, 40);
  higher.write("k", 0, 3);
  pump(exchange, [lower.sync.begin(0)], [], (round) => {
    higher.replica.put("m", "k0", round, { time: 2 + round, writer: "w" });
  });
  expect([lower.ended, higher.ended]).toEqual([1, 1]);
  expect(lower.sync.startedAt).toBeUndefined();
});

test("[G3] equal replicas are done with one message each way", () => {
  const exchange = pair();
  exchange.lower.write("k", 0, 50);
  exchange.higher.write("k", 0, 50);
  pump(exchange, [exchange.lower.sync.begin(0)]);
  expect(typesOf(exchange)).toEqual(["head", "done"]);
  expect([exchange.lower.ended, exchange.higher.ended]).toEqual([1, 1]);
});

test("[G4] a small difference costs what it is, not what the replicas hold", () => {
  const exchange = pair();
  const { lower, higher } = exchange;
  for (const party of [lower, higher]) party.write("k", 0, 3000);
  lower.write("k", 0, 3, 2);
  higher.write("k", 10, 2, 2);
  pump(exchange, [lower.sync.begin(0)]);
  expectEqual(exchange);
  const bytes = exchange.seen.reduce(
    (sum, message) => sum + (message.type === "symbols" ? message.cells.length : 0),
    0,
  );
  expect(bytes / SYMBOL_BYTES).toBeLessThan(80);
  const sent = exchange.seen.flatMap((message) => (message.type === "repair" ? message.maps : []));
  // The 3 and 2 new ones, and the 2 old ones that only the lower end still has by then.
  expect(sent.flatMap(({ entries: all }) => all).length).toBe(7);
  expect(typesOf(exchange)).not.toContain("snapshot-request");
});

interface Sizes {
  readonly shared: number;
  readonly lower: number;
  readonly higher: number;
  readonly bySnapshot?: boolean;
}

const sizes: Record<string, Sizes> = {
  "one entry and nothing": { shared: 0, lower: 1, higher: 0 },
  "nothing and one entry": { shared: 0, lower: 0, higher: 1 },
  "300 of 1000 on either side": { shared: 1000, lower: 300, higher: 300, bySnapshot: false },
  "500 entries and nothing": { shared: 0, lower: 500, higher: 0 },
  "6000 entries and nothing": { shared: 0, lower: 6000, higher: 0, bySnapshot: true },
  "nothing and 6000 entries": { shared: 0, lower: 0, higher: 6000, bySnapshot: true },
  "4000 different ones each": { shared: 100, lower: 4000, higher: 4000, bySnapshot: true },
};

test.each(Object.entries(sizes))("[G4] %s become equal, in one exchange", (_, size) => {
  for (const begins of ["lower", "higher"] as const) {
    const exchange = pair();
    const { lower, higher } = exchange;
    for (const party of [lower, higher]) party.write("shared", 0, size.shared);
    lower.write("l", 0, size.lower);
    higher.write("h", 0, size.higher);
    const head = exchange[begins].sync.begin(0);
    if (begins === "lower") pump(exchange, [head]);
    else pump(exchange, [], [head]);
    expectEqual(exchange);
    expect(lower.replica.entryCount).toBe(size.shared + size.lower + size.higher);
    expect([lower.ended, higher.ended]).toEqual([1, 1]);
    const bySnapshot = typesOf(exchange).includes("snapshot-request");
    if (size.bySnapshot !== undefined) expect(bySnapshot).toBe(size.bySnapshot);
  }
});

test("[G4] any number of overwritten entries are exchanged, whoever has them and begins", () => {
  for (const count of [800, 1200, 1500, 1800, 2200, 2600, 3000, 3400]) {
    for (const begins of ["lower", "higher"] as const) {
      const exchange = pair();
      const { lower, higher } = exchange;
      for (const party of [lower, higher]) party.write("k", 0, 4000);
      lower.write("k", 0, count, 2);
      if (begins === "lower") pump(exchange, [lower.sync.begin(0)]);
      else pump(exchange, [], [higher.sync.begin(0)]);
      expectEqual(exchange);
      expect([count, lower.ended, higher.ended]).toEqual([count, 1, 1]);
    }
  }
});

test("[G4] a large replica is fetched in chunks, each asked for", () => {
  const exchange = pair();
  const { lower, higher } = exchange;
  const value = "x".repeat(200);
  for (let number = 0; number < 3000; number += 1) {
    higher.replica.put("m", `k${number}`, value, { time: 1, writer: "w" });
  }
  pump(exchange, [lower.sync.begin(0)]);
  expectEqual(exchange);
  const types = typesOf(exchange);
  const chunks = types.filter((type) => type === "snapshot").length;
  expect(chunks).toBeGreaterThan(2);
  expect(types.filter((type) => type === "snapshot-request").length).toBe(chunks);
});

test("[G4] writes on both sides during an exchange are there after one more", () => {
  const write = fc.record({
    round: fc.nat(8),
    isLower: fc.boolean(),
    key: fc.nat(5),
    time: fc.nat(4),
  });
  fc.assert(
    fc.property(maps, maps, fc.array(write), fc.boolean(), (x, y, writes, isLarge) => {
      const exchange = pair();
      const { lower, higher } = exchange;
      lower.replica.merge(x);
      higher.replica.merge(y);
      if (isLarge) higher.write("large", 0, 2500);
      pump(exchange, [lower.sync.begin(0)], [], (now) => {
        for (const { round, isLower, key, time } of writes) {
          const { replica } = isLower ? lower : higher;
          const writer = isLower ? "l" : "h";
          if (round === now) replica.put("m", `k${key}`, key, { time: time + 10, writer });
        }
      });
      pump(exchange, [], [higher.sync.begin(1)]);
      expectEqual(exchange);
    }),
    { numRuns: 60 },
  );
});

test("[G4] of two heads that cross, that of the lower name is answered, and one exchange does", () => {
  for (const large of [0, 5000]) {
    const exchange = pair();
    const { lower, higher } = exchange;
    lower.write("l", 0, 20 + large);
    higher.write("h", 0, 20);
    pump(exchange, [lower.sync.begin(0)], [higher.sync.begin(0)]);
    expectEqual(exchange);
    expect([lower.ended, higher.ended]).toEqual([1, 1]);
    expect(lower.sync.startedAt ?? higher.sync.startedAt).toBeUndefined();
    expect(typesOf(exchange).filter((type) => type === "head").length).toBe(large === 0 ? 2 : 3);
  }
});

test("[G4] crossing heads of any two replicas make them equal", () => {
  fc.assert(
    fc.property(maps, maps, (x, y) => {
      const exchange = pair();
      exchange.lower.replica.merge(x);
      exchange.higher.replica.merge(y);
      pump(exchange, [exchange.lower.sync.begin(0)], [exchange.higher.sync.begin(0)]);
      expectEqual(exchange);
      expect(exchange.lower.sync.startedAt ?? exchange.higher.sync.startedAt).toBeUndefined();
    }),
  );
});

test("[G4] what is left of an abandoned exchange disturbs no later one", () => {
  const random = new Random(5);
  for (let trial = 0; trial < 60; trial += 1) {
    const exchange = pair();
    const { lower, higher } = exchange;
    lower.write("l", 0, random.below(40));
    higher.write("h", 0, random.below(40));
    // The first exchange is cut short after some messages; those arrive in the second one.
    const late: Message[] = [];
    let message: Message | undefined = lower.sync.begin(0);
    for (let hop = 0; message !== undefined && hop < trial % 6; hop += 1) {
      late.push(message);
      const receiver: Party = hop % 2 === 0 ? higher : lower;
      message = receiver.receive(message).at(-1);
    }
    lower.sync.abandon();
    higher.write("more", 0, 5);
    const answers = late.filter(({ type }) => type === "symbols" || type === "done");
    const questions = late.filter(({ type }) => type === "more" || type === "want");
    for (const stale of answers) expect(lower.receive(stale)).toEqual([]);
    pump(exchange, [lower.sync.begin(1), ...questions], answers);
    expectEqual(exchange);
    expect(lower.sync.startedAt).toBeUndefined();
  }
});

test("[G4] an exchange begun in the middle of another is harmless: after one more both are equal", () => {
  for (const large of [0, 2500]) {
    for (let beginsAt = 0; beginsAt < 14; beginsAt += 1) {
      const exchange = pair();
      const { lower, higher } = exchange;
      lower.write("l", 0, 30 + large);
      higher.write("h", 0, 30 + large);
      const begins = [lower, higher][beginsAt % 2] as Party;
      const other = begins === lower ? higher : lower;
      const late: Message[] = [];
      const first = begins.sync.begin(0);
      const inject = (round: number): void => {
        if (round === beginsAt >> 1 && other.sync.startedAt === undefined) {
          late.push(other.sync.begin(1));
        }
      };
      const queue = begins === lower ? [[first], late] : [late, [first]];
      pump(exchange, queue[0] ?? [], queue[1] ?? [], inject);
      // The first one ended; the second may have been ignored, and is then forgotten in time.
      expect(begins.sync.startedAt).toBeUndefined();
      other.sync.abandon();
      pump(exchange, [lower.sync.begin(2)]);
      expectEqual(exchange);
    }
  }
});

test("[G4] a peer that starts anew forgets the exchange before", () => {
  const exchange = pair();
  const { lower, higher } = exchange;
  lower.write("l", 0, 5);
  const first = lower.sync.begin(3);
  expect(lower.sync.startedAt).toBe(3);
  const answer = higher.receive(first);
  const second = lower.sync.begin(4);
  expect(lower.sync.startedAt).toBe(4);
  for (const stale of answer) expect(lower.receive(stale)).toEqual([]);
  pump(exchange, [second]);
  expectEqual(exchange);
});

test("[G4] exchanges are numbered within 16 bits, and the two ends never use the same number", () => {
  const { lower, higher } = pair();
  for (let number = 0; number < 70_000; number += 1) {
    const [x, y] = [lower.sync.begin(0), higher.sync.begin(0)];
    if (x.type !== "head" || y.type !== "head") throw new Error("an exchange begins with a head");
    if (x.exchange % 2 !== 0 || y.exchange % 2 !== 1 || y.exchange > 65_535) {
      throw new Error(`${x.exchange} and ${y.exchange} collide`);
    }
  }
});

/** Any message of an exchange that the codec lets through. */
const anyMessage: fc.Arbitrary<Message> = (() => {
  const exchange = fc.integer({ min: 0, max: 6 });
  const place = fc.oneof(fc.nat(8), fc.integer({ min: SYMBOLS_MAX - 4, max: SYMBOLS_MAX }));
  const bytesOf = (unit: number, countMax: number) =>
    fc
      .nat(countMax)
      .chain((count) => fc.uint8Array({ minLength: count * unit, maxLength: count * unit }));
  const cells = bytesOf(SYMBOL_BYTES, 30);
  return fc.oneof(
    fc.record({
      type: fc.constant("head" as const),
      exchange,
      entryCount: fc.constantFrom(0, 1, 40, 262_144),
      summary: bytesOf(SUMMARY_BYTES, 1).map((bytes) =>
        bytes.length === 0 ? new Uint8Array(SUMMARY_BYTES) : bytes,
      ),
      pulled: fc.boolean(),
      era: fc.constant(NO_ERA),
    }),
    fc
      .record({ type: fc.constant("symbols" as const), exchange, from: place, cells })
      .map((message) => ({
        ...message,
        cells: message.cells.slice(0, (SYMBOLS_MAX - message.from) * SYMBOL_BYTES),
      })),
    fc.record({ type: fc.constant("more" as const), exchange, from: place, count: place }),
    fc.record({ type: fc.constant("want" as const), exchange, ids: bytesOf(8, 10) }),
    fc.record({ type: fc.constant("done" as const), exchange }),
    fc.record({
      type: fc.constant("snapshot-request" as const),
      exchange,
      cursor: fc.constantFrom(0, 3, 1e6, Number.MAX_SAFE_INTEGER),
    }),
    fc.record({ type: fc.constant("snapshot-offer" as const), exchange }),
    fc.record({
      type: fc.constant("snapshot" as const),
      exchange,
      next: fc.constantFrom(-1, 0, 5, Number.MAX_SAFE_INTEGER),
      maps: fc.constant([]),
    }),
  );
})();

test("[S5] no sequence of messages makes an end throw, hang, or answer with more than it holds", () => {
  fc.assert(
    fc.property(fc.array(fc.option(anyMessage), { maxLength: 30 }), (messages) => {
      const { lower: party } = pair();
      party.write("k", 0, 40);
      for (const message of messages) {
        if (message === null) {
          party.sync.begin(0);
          continue;
        }
        const replies = party.receive(message);
        const sent = replies.flatMap((reply) => ("maps" in reply ? reply.maps : []));
        expect(sent.flatMap(({ entries: all }: MapEntries) => all).length).toBeLessThanOrEqual(40);
        for (const reply of replies) {
          if (reply.type === "want") expect(reply.ids.length).toBeLessThanOrEqual(WANT_BYTES_MAX);
          if (reply.type === "symbols") expect(reply.cells.length % SYMBOL_BYTES).toBe(0);
        }
      }
      expect(party.replica.entryCount).toBe(40);
    }),
    { numRuns: 300 },
  );
});

test("[G4] a liar's symbols end in a snapshot, since a sketch has no more of them", () => {
  const random = new Random(8);
  const { lower } = pair();
  lower.write("l", 0, 3000);
  const head = lower.sync.begin(0);
  const exchange = head.type === "head" ? head.exchange : -1;
  let from = 0;
  for (let round = 0; round < 100; round += 1) {
    const cells = new Uint8Array(64 * SYMBOL_BYTES).map(() => random.below(256));
    const [reply] = lower.receive({ type: "symbols", exchange, from, cells });
    if (reply?.type === "snapshot-request") return;
    expect(reply?.type).toBe("more");
    from += 64;
  }
  throw new Error("The liar was asked for symbols for ever");
});

test("[S5] an end that has no symbols to send is asked for a snapshot, not for more for ever", () => {
  const { lower } = pair();
  lower.write("l", 0, 5);
  const { exchange } = lower.sync.begin(0) as Extract<Message, { type: "head" }>;
  expect(lower.receive({ type: "symbols", exchange, from: 0, cells: new Uint8Array() })).toEqual([
    { type: "snapshot-request", exchange, cursor: 0 },
  ]);
});

test("[S5] symbols out of order, and questions about another exchange, are not answered", () => {
  const { lower, higher } = pair();
  lower.write("l", 0, 50);
  higher.write("h", 0, 50);
  const head = lower.sync.begin(0) as Extract<Message, { type: "head" }>;
  const [symbols] = higher.receive(head) as [Extract<Message, { type: "symbols" }>];
  const { exchange } = head;
  expect(lower.receive({ ...symbols, from: 1 })).toEqual([]);
  expect(lower.receive({ ...symbols, cells: symbols.cells.slice(0, 120) })).toHaveLength(1);
  expect(lower.receive({ ...symbols, cells: symbols.cells.slice(0, 120) })).toEqual([]);
  const more = { type: "more", exchange, from: 10, count: 2 } as const;
  expect(higher.receive(more)).toEqual([
    { type: "symbols", exchange, from: 10, cells: symbols.cells.slice(120, 144) },
  ]);
  expect(higher.receive({ ...more, exchange: exchange + 2 })).toEqual([]);
  expect(higher.receive({ ...more, from: SYMBOLS_MAX })).toEqual([]);
  const [last] = higher.receive({ ...more, from: SYMBOLS_MAX - 1, count: SYMBOLS_MAX });
  expect(last).toMatchObject({ type: "symbols", from: SYMBOLS_MAX - 1 });
});

test("[G4] ids that are wanted but are no longer there cost nothing, and the exchange ends", () => {
  const { lower } = pair();
  lower.write("l", 0, 3);
  const want = { type: "want", exchange: 2, ids: new Uint8Array(80).fill(7) } as const;
  expect(lower.receive(want)).toEqual([{ type: "done", exchange: 2 }]);
});

test("[G4] an entry that was overwritten during the exchange is not repaired with the old one", () => {
  const exchange = pair();
  const { lower, higher } = exchange;
  lower.write("k", 0, 1);
  const [symbols] = higher.receive(lower.sync.begin(0)) as [Message];
  const newer: Entry = { key: "k0", value: "new", time: 9, writer: "h" };
  higher.replica.merge([{ map: "m", entries: [newer] }]);
  pump(exchange, [], [symbols]);
  expect(higher.replica.map("m").entry("k0")).toEqual(newer);
  pump(exchange, [lower.sync.begin(1)]);
  expectEqual(exchange);
  expect(lower.replica.map("m").entry("k0")).toEqual(newer);
});
