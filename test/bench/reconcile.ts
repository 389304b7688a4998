/**
 * What it costs two replicas of 100 000 entries to become equal again, and how long the way is.
 *
 * On one side 1, 10 or 1000 random entries are overwritten; then one side, by turns, begins an exchange,
 * and every message goes through the codec. Counted are the bytes of frames in both directions, from
 * the head to the last `done`. Entries travel in messages of their own (`repair`), which are encoded
 * and counted apart: they would have to be sent by any method. Each exchange ends with equal replicas,
 * which is checked and makes them the next pair.
 *
 * A round trip after the head is two messages' flights. One and a half suffice when the first batch of
 * symbols does: symbols, repair and want, repair and done.
 *
 * Beside it stands what sending everything takes, which is what catching up costs without a sketch.
 */
import { isHostMessage, type Message } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import { Reconciliation } from "../../src/core/reconciliation.ts";
import { Replica } from "../../src/core/replica.ts";
import { ALLOCATIONS, encodeAllocation } from "../../src/core/view.ts";
import { decodeFrame } from "../../src/wire/codec.ts";
import { encodeFrames } from "../../src/wire/frames.ts";
import { createEntries, REGIONS, timeOf, WRITERS } from "./allocations.ts";
import { framesOf, keyOf } from "./loaders.ts";
import { mean, percentile } from "./measure.ts";
import type { Bench, Section } from "./report.ts";

const ENTRIES = 100_000;
const PAIRS = 100;
const OVERWRITES = [1, 10, 1000];

export const bench: Bench = {
  summary: "bytes and round trips until two replicas of 100 000 entries are equal",
  run: async (progress) => {
    progress(`two replicas of ${ENTRIES} entries`);
    const ends = new Ends();
    const everything = framesOf(ends.a.replica).reduce((sum, frame) => sum + frame.length, 0);
    const sections = OVERWRITES.map((overwrites) => {
      progress(`${PAIRS} pairs with ${overwrites} overwritten`);
      return measurePairs(ends, overwrites, everything);
    });
    return sections;
  },
};

interface End {
  readonly replica: Replica;
  readonly sync: Reconciliation;
}

/** What one exchange took. */
interface Cost {
  /** Of frames without those of repairs. */
  bytes: number;
  repairBytes: number;
  /** After the head. */
  flights: number;
}

/** Two ends of a link, equal before and after every exchange. */
class Ends {
  readonly a = createEnd(false);
  readonly b = createEnd(true);
  readonly #random = new Random(1);
  #writes = ENTRIES;

  /** Overwrites entries at one end. */
  overwrite({ replica }: End, count: number): void {
    const keys = new Set<number>();
    while (keys.size < count) keys.add(this.#random.below(ENTRIES));
    for (const key of keys) {
      const value = encodeAllocation(this.#random.pick(REGIONS) as string);
      const writer = this.#random.pick(WRITERS) as string;
      replica.put(ALLOCATIONS, keyOf(key), value, { time: timeOf(this.#writes), writer });
      this.#writes += 1;
    }
  }

  /** Makes both ends equal again. */
  exchange(initiator: End, responder: End): Cost {
    const cost: Cost = { bytes: 0, repairBytes: 0, flights: -1 };
    let batch: readonly Message[] = [initiator.sync.begin(0)];
    for (let to = responder; batch.length > 0; to = to === responder ? initiator : responder) {
      cost.flights += 1;
      batch = deliver(batch, to, cost);
    }
    if (this.a.replica.fingerprint() !== this.b.replica.fingerprint()) {
      throw new Error("The exchange has ended with unequal replicas");
    }
    return cost;
  }
}

function createEnd(yields: boolean): End {
  const replica = new Replica("bench");
  replica.merge([{ map: ALLOCATIONS, entries: createEntries(ENTRIES, keyOf) }]);
  return { replica, sync: new Reconciliation(replica, { yields }) };
}

/** Brings messages to one end and returns what that replies. */
function deliver(batch: readonly Message[], { replica, sync }: End, cost: Cost): Message[] {
  const repairs = batch.filter(({ type }) => type === "repair");
  const others = batch.filter(({ type }) => type !== "repair");
  const replies: Message[] = [];
  for (const messages of [repairs, others]) {
    for (const frame of encodeFrames(messages)) {
      if (messages === repairs) cost.repairBytes += frame.length;
      else cost.bytes += frame.length;
      const decoded = decodeFrame(frame);
      if (!decoded.ok) throw new Error(decoded.message);
      for (const message of decoded.messages) replies.push(...receive(message, replica, sync));
    }
  }
  return replies;
}

function receive(message: Message, replica: Replica, sync: Reconciliation): readonly Message[] {
  if (isHostMessage(message)) return [];
  if (message.type === "repair" || message.type === "snapshot") replica.merge(message.maps);
  switch (message.type) {
    case "repair":
    case "delta":
    case "heartbeat":
    case "keep":
    case "pulse":
    case "probe":
    case "probe-answer":
    case "inquiry":
    case "inquiry-answer":
    case "request":
    case "response":
    case "post":
      return [];
    default:
      return sync.receive(message).replies;
  }
}

function measurePairs(ends: Ends, overwrites: number, everything: number): Section {
  const costs: Cost[] = [];
  for (let pair = 0; pair < PAIRS; pair += 1) {
    const [initiator, responder] = pair % 2 === 0 ? [ends.a, ends.b] : [ends.b, ends.a];
    // By turns of two, so that either end begins as often with the new entries as with the old.
    ends.overwrite(pair % 4 < 2 ? initiator : responder, overwrites);
    costs.push(ends.exchange(initiator, responder));
  }
  const bytes = costs.map((cost) => cost.bytes);
  const repairs = mean(costs.map((cost) => cost.repairBytes));
  const roundTrips = costs.map(({ flights }) => flights / 2);
  const shortest = roundTrips.filter((trips) => trips <= 1.5).length / PAIRS;
  return {
    title: `${overwrites} of ${ENTRIES} entries overwritten, ${PAIRS} pairs`,
    figures: [
      {
        ...{ name: "bytes besides the entries, mean", value: mean(bytes), unit: "B" },
        target: { atMost: 128 + 60 * overwrites },
      },
      {
        ...{ name: "bytes besides the entries, p95", value: percentile(bytes, 0.95), unit: "B" },
        target: { atMost: 160 + 90 * overwrites },
      },
      { name: "bytes of the entries, mean", value: repairs, unit: "B" },
      { name: "bytes of everything", value: everything, unit: "B" },
      {
        ...{ name: "exchanges with 1.5 round trips after the head", value: shortest, unit: "" },
        target: { atLeast: 2 / 3 },
      },
      {
        ...{ name: "most round trips after the head", value: Math.max(...roundTrips), unit: "" },
        target: { atMost: 4 },
      },
    ],
  };
}
