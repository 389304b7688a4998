import { expect, test } from "vitest";
import { DurabilityChecker } from "../../sim/checkers/durability.ts";
import { ExchangesChecker } from "../../sim/checkers/exchanges.ts";
import { FoundingChecker } from "../../sim/checkers/founding.ts";
import { HostingChecker } from "../../sim/checkers/hosting.ts";
import { FORGED_ZONE, IntrusionChecker } from "../../sim/checkers/intrusion.ts";
import { ResourcesChecker } from "../../sim/checkers/resources.ts";
import { SuspicionsChecker } from "../../sim/checkers/suspicions.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import type { CallRequest } from "../../src/core/event.ts";
import type { Entry, MapEntries, Message } from "../../src/core/message.ts";
import { NO_ERA } from "../../src/core/message.ts";
import { alive, entry, maps, opened, peerOf, received, rulesOf } from "./shown-peers.ts";

test("[G7] a second link to a peer is found when all is quiet", () => {
  const show = (links: number) =>
    rulesOf(
      (report) => new ResourcesChecker(report, 2, 32, () => 0),
      (checker) => checker.idle([peerOf("a", { status: { links } }), peerOf("b", ONE_LINK)], 0),
    );
  expect(show(1)).toEqual([]);
  expect(show(2)).toEqual(["G7"]);
});

const ONE_LINK = { status: { links: 1 } };

test("[U3] heaps of links are found, and links that come and go in one second", () => {
  const show = (links: number, count: number, everyMs: number) => {
    let now = 0;
    return rulesOf(
      (report) => new ResourcesChecker(report, 3, 32, () => now),
      (checker) => {
        for (let link = 0; link < count; link += 1) {
          checker.stepped(peerOf("a", { links }), opened(link, "b"));
          now += everyMs;
        }
      },
    );
  };
  expect(show(9, 1, 0)).toEqual([]);
  expect(show(900, 1, 0)).toEqual(["U3"]);
  expect(show(1, 900, 100)).toEqual([]);
  expect(show(1, 900, 1)).toEqual(["U3"]);
});

test("[G1] an entry that is elsewhere before it is durable at its writer is found", () => {
  const show = (...order: readonly ("a" | "b")[]) =>
    rulesOf(
      (report) => new DurabilityChecker(report),
      (checker) => {
        const peers = { a: alive("a"), b: alive("b") };
        for (const peer of Object.values(peers)) checker.booted(peer);
        for (const name of order) checker.persisted(peers[name], maps(entry(1, "x", "a")));
      },
    );
  expect(show("a", "b")).toEqual([]);
  expect(show("b", "a")).toEqual(["G1"]);
});

test("[I17] an acknowledgement of what is not durable is found", () => {
  const show = (time: number) =>
    rulesOf(
      (report) => new DurabilityChecker(report),
      (checker) => {
        const a = alive("a");
        checker.booted(a);
        checker.persisted(a, maps(entry(time, "x", "a")));
        checker.answered(a, 1, { ok: true, value: { token: 5, writer: "a" } });
        checker.answered(a, 2, { ok: true, value: undefined });
        checker.answered(a, 3, { ok: false, code: "NOT_READY", message: "" });
      },
    );
  expect(show(5)).toEqual([]);
  expect(show(4)).toEqual(["I17"]);
});

const founding = (time: number): Entry => ({ ...entry(time, "a", "a"), key: "founding" });

test("[A0] founding without waiting is found, and founding twice though nothing goes wrong", () => {
  const found = (waitedMs: number, isCalm: boolean, ...times: number[]) =>
    rulesOf(
      (report) =>
        new FoundingChecker(
          report,
          () => 0,
          () => isCalm,
        ),
      (checker) => {
        const a = alive("a");
        checker.booted(a);
        for (const time of times) {
          checker.persisted(a, [{ map: "settings", entries: [founding(time)] }]);
        }
        Object.assign(a, { now: waitedMs });
        checker.changed(a, { type: "ready", how: "founded" });
      },
    );
  expect(found(3000, true, 1)).toEqual([]);
  expect(found(2000, true, 1)).toEqual(["A0"]);
  expect(found(3000, false, 1, 2)).toEqual([]);
  expect(found(3000, true, 1, 2)).toEqual(["A0"]);
});

test("[A0] who is ready and lacks what every other peer has long had is found", () => {
  const settings = { map: "settings", entries: [founding(1)] };
  const join = (time: number, waitedMs = 100) => {
    let now = 0;
    return rulesOf(
      (report) =>
        new FoundingChecker(
          report,
          () => now,
          () => false,
        ),
      (checker) => {
        const [a, b] = [alive("a"), alive("b", { wallMs: WALL_MS })];
        checker.persisted(a, [settings, ...maps(entry(2, "x"))]);
        now = 10_000;
        checker.booted(b);
        checker.persisted(b, [settings]);
        const entries = () => [settings, ...maps(entry(time, "y"))];
        Object.assign(b, { now: waitedMs });
        Object.assign(b.machine ?? {}, { entries });
        checker.changed(b, { type: "ready", how: "joined" });
      },
    );
  };
  expect(join(2)).toEqual([]);
  expect(join(1)).toEqual(["A0"]);
  expect(join(1, 3000)).toEqual([]); // It may have found nobody.
});

const WALL_MS = 1_800_000_000_000;

test("[F2, F5] a suspicion without a silence is found, and one that follows another too soon", () => {
  const suspicion: Entry = {
    ...entry(1, "", "a"),
    key: "b/a",
    value: ["suspect", 1, "b", "a", ""],
  };
  const show = (...moments: number[]) =>
    rulesOf(
      (report) => new SuspicionsChecker(report),
      (checker) => {
        const a = alive("a");
        checker.booted(a);
        checker.stepped(a, opened(1, "b"));
        for (let now = 0; now <= 20_000; now += 100) {
          Object.assign(a, { now });
          checker.stepped(a, { type: "woken" });
          if (now < 1000) checker.stepped(a, received(1));
          const isTime = moments.includes(now);
          if (isTime) checker.persisted(a, [{ map: "verdicts", entries: [suspicion] }]);
        }
      },
    );
  expect(show(3000, 5000)).toEqual([]);
  expect(show(1500, 5000)).toEqual(["F2"]);
  expect(show(3000, 4500)).toEqual(["F5"]);
  expect(show(3000, 5000, 9000)).toEqual([]);
  expect(show(3000, 5000, 8000)).toEqual(["F5"]);
});

test("[F2] the time in which a peer took no step is nobody's silence", () => {
  const suspicion: Entry = {
    ...entry(1, "", "a"),
    key: "b/a",
    value: ["suspect", 1, "b", "a", ""],
  };
  /** Steps every 100 ms until some moment, and then again from a later one on. */
  const show = (untilMs: number, fromMs: number, suspectedMs: number) =>
    rulesOf(
      (report) => new SuspicionsChecker(report),
      (checker) => {
        const a = alive("a");
        checker.booted(a);
        checker.stepped(a, opened(1, "b"));
        for (let now = 0; now <= suspectedMs; now += now === untilMs ? fromMs - now : 100) {
          Object.assign(a, { now });
          checker.stepped(a, { type: "woken" });
        }
        checker.persisted(a, [{ map: "verdicts", entries: [suspicion] }]);
      },
    );
  expect(show(100, 200, 4000)).toEqual([]);
  expect(show(0, 4000, 4000)).toEqual(["F2"]);
  expect(show(600, 2000, 2500)).toEqual(["F2"]); // Who was late is twice as patient,
  expect(show(1000, 2000, 2000)).toEqual([]); // unless it had asked by then.
});

test("[G4] what either end lacks after an exchange is found", () => {
  const head: Message = {
    ...{ type: "head", exchange: 2, entryCount: 1, summary: new Uint8Array(31), pulled: false },
    era: NO_ERA,
  };
  const exchange = (held: readonly Entry[], end: Message, status: object = {}) =>
    rulesOf(
      (report) => new ExchangesChecker(report, () => 0),
      (checker) => {
        const [a, b] = [
          alive("a", { entries: held, wallMs: WALL_MS }),
          alive("b", { entries: [entry(2, "x")], wallMs: WALL_MS, status }),
        ];
        for (const peer of [a, b]) checker.booted(peer);
        Object.assign(b, { now: 1 });
        checker.stepped(a, opened(1, "b"));
        checker.stepped(b, opened(2, "a"));
        checker.stepped(b, received(2, head));
        checker.stepped(a, received(1, end));
      },
    );
  const done: Message = { type: "done", exchange: 2 };
  expect(exchange([entry(2, "x")], done)).toEqual([]);
  expect(exchange([entry(3, "y")], done)).toEqual([]);
  expect(exchange([entry(1, "w")], done)).toEqual(["G4"]);
  expect(exchange([], done)).toEqual(["G4"]);
  expect(exchange([], { type: "want", exchange: 2, ids: new Uint8Array(0) })).toEqual(["G4"]);
  expect(exchange([], { type: "done", exchange: 4 })).toEqual([]); // Another exchange.
  expect(exchange([], done, { replica: "0".repeat(16) })).toEqual([]); // The heads were equal.
});

test("[S8] a forged row that stands in the end is found", () => {
  const show = (zone: string | null) =>
    rulesOf(
      (report) => new IntrusionChecker(report),
      (checker) => {
        const row: Entry = { ...entry(1, ""), value: ["alive", "a", 0, "a:1", zone, 1, false] };
        checker.settled([peerOf("a", { entries: [row] })]);
      },
    );
  expect(show(null)).toEqual([]);
  expect(show(FORGED_ZONE)).toEqual(["S8"]);
});

const allocated = (time: number, region: string, writer: string) => [
  { map: "allocations", entries: [{ key: "shard-0", value: [region], time, writer }] },
];

/** A peer "a" that sees the others in these states. */
function seeing(states: Record<string, "alive" | "dead" | "removed">): SimulatedPeer {
  const a = alive("a");
  const members = Object.entries({ a: "alive", ...states })
    .sort()
    .map(([name, state]) => ({
      ...{ name, removed: state === "removed", status: state === "alive" ? "alive" : "dead" },
    }));
  const membership = {
    all: () => members,
    get: (name: string) => members.find((member) => member.name === name),
  };
  Object.assign(a.machine?.view ?? {}, { membership });
  return a;
}

/** The rules that "a" breaks by writing an allocation while it sees the others in these states. */
function allocating(
  states: Record<string, "alive" | "dead" | "removed">,
  from: string,
  to: string,
  request?: CallRequest,
): string[] {
  const a = seeing(states);
  return rulesOf(
    (report) => new HostingChecker(report),
    (checker) => {
      checker.booted(a);
      checker.persisted(a, allocated(1, from, "b"));
      checker.stepped(a, { type: "woken" });
      checker.persisted(a, allocated(2, to, "a"));
      checker.stepped(a, request ? { type: "called", call: 1, request } : { type: "woken" });
    },
  );
}

test("[A2, A3] a region that takes from the living, or gives to the dead, is found", () => {
  expect(allocating({ b: "removed" }, "b", "a")).toEqual([]);
  expect(allocating({ b: "alive" }, "b", "a")).toEqual(["A3"]);
  expect(allocating({ b: "removed", c: "alive" }, "b", "c")).toEqual(["A3"]);
  expect(allocating({ b: "alive" }, "a", "b")).toEqual([]);
  expect(allocating({ b: "dead", c: "alive" }, "a", "b")).toEqual(["A2"]);
});

test("[L4] a region that gives a shard away again and again for no new reason is found", () => {
  const a = seeing({ b: "alive" });
  const show = (gifts: number, reasonAfter = gifts) =>
    rulesOf(
      (report) => new HostingChecker(report),
      (checker) => {
        checker.booted(a);
        for (let gift = 0; gift < gifts; gift += 1) {
          if (gift === reasonAfter) checker.persisted(a, [{ map: "members", entries: [] }]);
          checker.persisted(a, allocated(2 * gift, "a", "b"));
          checker.persisted(a, allocated(2 * gift + 1, "b", "a"));
          checker.stepped(a, { type: "woken" });
        }
      },
    );
  expect(show(4)).toEqual([]);
  expect(show(5)).toEqual(["L4"]);
  expect(show(8, 4)).toEqual([]);
});

test("[A1] what a user asks for is no region's fault", () => {
  const asked = (shard: string) =>
    allocating({ b: "alive" }, "b", "a", { type: "allocate", shard, region: "a" });
  expect(asked("shard-0")).toEqual([]);
  expect(asked("shard-1")).toEqual(["A3"]);
});

test("[F9] a side without a majority that allocates is found", () => {
  expect(allocating({ b: "dead", c: "alive" }, "a", "c")).toEqual([]);
  expect(allocating({ b: "dead" }, "a", "a")).toEqual([]); // Half, with the lowest name.
  expect(allocating({ b: "dead", c: "dead" }, "a", "a")).toEqual(["F9"]);
  expect(allocating({ A: "dead" }, "a", "a")).toEqual(["F9"]); // Half, without it.
});

test("[F9] what was written before the verdicts of the same step was allowed, and not what came after", () => {
  const verdict = {
    key: "b/a",
    value: ["dead", 1, "b", "a", "silent", null],
    time: 2,
    writer: "a",
  };
  const verdicts = { map: "verdicts", entries: [verdict] };
  const show = (...order: readonly MapEntries[]): string[] => {
    const a = seeing({ b: "dead", c: "dead" });
    return rulesOf(
      (report) => new HostingChecker(report),
      (checker) => {
        checker.booted(a);
        checker.persisted(a, allocated(1, "a", "b"));
        checker.stepped(a, { type: "woken" });
        checker.persisted(a, order);
        checker.stepped(a, { type: "woken" });
      },
    );
  };
  const write = allocated(2, "a", "a")[0] as MapEntries;
  expect(show(write, verdicts)).toEqual([]);
  expect(show(verdicts, write)).toEqual(["F9"]);
  expect(show(write)).toEqual(["F9"]);
});
