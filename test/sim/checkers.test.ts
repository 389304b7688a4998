import { expect, test } from "vitest";
import type { Violations } from "../../sim/checker.ts";
import { AgreementChecker } from "../../sim/checkers/agreement.ts";
import { BalanceChecker } from "../../sim/checkers/balance.ts";
import { CallsChecker } from "../../sim/checkers/calls.ts";
import { ClocksChecker } from "../../sim/checkers/clocks.ts";
import { EntriesChecker } from "../../sim/checkers/entries.ts";
import { HOSTILE_MARK, IntrusionChecker, STRANGER_NAME } from "../../sim/checkers/intrusion.ts";
import { ResourcesChecker } from "../../sim/checkers/resources.ts";
import { ServingChecker } from "../../sim/checkers/serving.ts";
import { SpreadChecker } from "../../sim/checkers/spread.ts";
import type { WorkloadKind } from "../../sim/options.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import { packTimestamp } from "../../src/core/clock.ts";
import type { Change } from "../../src/core/effect.ts";
import type { Entry } from "../../src/core/message.ts";
import { alive, entry, maps, peerOf, rulesOf } from "./shown-peers.ts";

const newEntries = (report: Violations["report"]) => new EntriesChecker(report);

test("[I1] an entry that gets lower is found, one that gets higher is not", () => {
  const a = peerOf("a");
  const show = (...times: number[]) =>
    rulesOf(newEntries, (checker) => {
      for (const time of times) checker.persisted(a, maps(entry(time, `${time}`)));
    });
  expect(show(2, 3, 4)).toEqual([]);
  expect(show(2, 3, 1)).toEqual(["I1"]);
});

test("[I1] a peer that lost its disk may begin lower", () => {
  const a = peerOf("a");
  const rules = rulesOf(newEntries, (checker) => {
    checker.persisted(a, maps(entry(3, "c")));
    checker.wiped(a);
    checker.persisted(a, maps(entry(1, "a")));
  });
  expect(rules).toEqual([]);
});

test("[I2] a stamp that a peer issued before is found, also in another life", () => {
  const firstLife = peerOf("a", { incarnation: "w1" });
  const show = (time: number) =>
    rulesOf(newEntries, (checker) => {
      checker.persisted(firstLife, maps(entry(5, "a", "w1")));
      Object.assign(firstLife, { machine: { incarnation: "w2" } });
      checker.persisted(firstLife, [
        { map: "m", entries: [{ ...entry(time, "b", "w2"), key: "l" }] },
      ]);
      Object.assign(firstLife, { machine: { incarnation: "w1" } });
    });
  expect(show(6)).toEqual([]);
  expect(show(5)).toEqual(["I2"]);
});

test("[I3] one stamp on two contents is found, at whatever peers", () => {
  const show = (value: string) =>
    rulesOf(newEntries, (checker) => {
      checker.persisted(peerOf("a"), maps(entry(1, "a")));
      checker.persisted(peerOf("b"), maps(entry(1, value)));
    });
  expect(show("a")).toEqual([]);
  expect(show("b")).toEqual(["I3"]);
});

test("[I4] a hybrid clock far ahead of its wall clock is found", () => {
  const wallMs = 1_800_000_000_000;
  const show = (aheadMs: number) =>
    rulesOf(
      (report) => new ClocksChecker(report),
      (checker) =>
        checker.stepped(peerOf("a", { wallMs, clockTime: packTimestamp(wallMs + aheadMs) })),
    );
  expect(show(9000)).toEqual([]);
  expect(show(11_000)).toEqual(["I4"]);
});

test("[I5] a write that cannot be read where it was made is found", () => {
  const show = (regions: Record<string, string>, token: number) =>
    rulesOf(
      (report) => new CallsChecker(report, () => 0),
      (checker) => {
        const a = peerOf("a", { regions });
        checker.expect(a, 1, { shard: "s", region: "b" });
        checker.answered(a, 1, { ok: true, value: { token, writer: "w" } });
      },
    );
  expect(show({ s: "b" }, 5)).toEqual([]);
  expect(show({ s: "c" }, 4)).toEqual([]); // Superseded since.
  expect(show({ s: "c" }, 5)).toEqual(["I5"]);
  expect(show({ s: "b" }, 6)).toEqual(["I5"]);
});

test("[I5] a refusal for another reason than the state of the cluster is found", () => {
  const show = (code: "NOT_READY" | "SHARD_NOT_FOUND") =>
    rulesOf(
      (report) => new CallsChecker(report, () => 0),
      (checker) => checker.answered(peerOf("a"), 1, { ok: false, code, message: "" }),
    );
  expect(show("NOT_READY")).toEqual([]);
  expect(show("SHARD_NOT_FOUND")).toEqual(["A1"]);
});

test("[I6, L1] every kind of disagreement keeps peers from having settled", () => {
  const checker = new AgreementChecker(() => {});
  const regions = { s0: "a", s1: "b" };
  const unsettled = (status: object) =>
    checker.unsettled([peerOf("a", { regions }), peerOf("b", { regions, status })], true);
  expect(unsettled({})).toBeUndefined();
  expect(unsettled({ ready: false })).toContain("not ready");
  expect(unsettled({ fingerprint: "g" })).toContain("table");
  expect(unsettled({ replica: "s" })).toContain("replica");
  expect(unsettled({ viewId: "w" })).toContain("view");
  expect(unsettled({ members: { alive: 1 } })).toContain("counts 1");
  expect(checker.unsettled([peerOf("a", { regions }), dead], true)).toContain("down");
});

test("[C5, L3] who hears mostly clocks that are far from its own may stop, as long as these are outside", () => {
  const regions = { s0: "a", s1: "b" };
  const unsettled = (outsideMs: number, isWhole = false) => {
    const b = peerOf("b", { regions, heard: ["a", "x", "y"], status: { ready: false } });
    const core = [peerOf("a", { regions, heard: ["b"] }), b];
    const outside = ["x", "y"].map((name) => peerOf(name, { wallMs: outsideMs }));
    return new AgreementChecker(() => {}).unsettled(core, isWhole, [...core, ...outside]);
  };
  expect(unsettled(3_600_000)).toBeUndefined();
  expect(unsettled(0)).toContain("b is not ready");
  expect(unsettled(3_600_000, true)).toContain("b is not ready");
});

const dead = { name: "b", machine: undefined } as unknown as SimulatedPeer;

test("[I6] an entry that one peer held and another lacks is found", () => {
  const show = (held: readonly Entry[]) =>
    rulesOf(newEntries, (checker) => {
      const a = peerOf("a", { entries: [entry(3, "c")] });
      const b = peerOf("b", { entries: held });
      checker.persisted(a, maps(entry(3, "c")));
      checker.settled([a, b]);
    });
  expect(show([entry(3, "c")])).toEqual([]);
  expect(show([entry(2, "b")])).toEqual(["I6"]);
  expect(show([])).toEqual(["I6"]);
});

test("[I8] equal names for different tables are found, and different names for equal ones", () => {
  const show = (fingerprint: string, time: number) =>
    rulesOf(
      (report) => new AgreementChecker(report),
      (checker) =>
        checker.compare([
          peerOf("a", { entries: [entry(1, "x")], status: { viewId: "v1" } }),
          peerOf("b", { entries: [entry(time, "x")], status: { fingerprint, viewId: "v2" } }),
        ]),
    );
  expect(show("f", 1)).toEqual([]);
  expect(show("g", 2)).toEqual([]);
  expect(show("f", 2)).toEqual(["I8"]);
  expect(show("g", 1)).toEqual(["I8"]);
});

test("[I9] one token at two regions is found, and a region that nobody knows", () => {
  const acquire: Change = { type: "acquire", shard: "s", token: 1, writer: "w" };
  const show = (other: string, region: string) =>
    rulesOf(
      (report) => new ServingChecker(report),
      (checker) => {
        checker.changed(peerOf("a"), acquire);
        checker.changed(peerOf(other), acquire);
        checker.settled([peerOf("a", { regions: { s: region } })]);
      },
    );
  expect(show("a", "b")).toEqual([]);
  expect(show("b", "b")).toEqual(["I9"]);
  expect(show("a", "nobody")).toEqual(["I9"]);
});

test("[I10] equal views that route differently are found", () => {
  const show = (region: string, viewId: string) =>
    rulesOf(
      (report) => new AgreementChecker(report),
      (checker) =>
        checker.compare([
          peerOf("a", { regions: { s0: "a", s1: "a" } }),
          peerOf("b", { regions: { s0: region, s1: region }, status: { viewId } }),
        ]),
    );
  expect(show("a", "v")).toEqual([]);
  expect(show("b", "w")).toEqual([]);
  expect(show("b", "v")).toEqual(["I10"]);
});

/** The rules that an entry breaks which carries `mark` in its value, its key or its writer. */
function intrusions(mark: string): string[] {
  const marked = [
    ...[entry(1, mark), entry(1, "a", mark), { ...entry(1, "a"), key: `x-${mark}` }],
    entry(1, "harmless"),
  ];
  return rulesOf(
    (report) => new IntrusionChecker(report),
    (checker) => {
      for (const made of marked) checker.persisted(peerOf("a"), maps(made));
    },
  );
}

test("[I15] what a hostile peer made up is found wherever it stands", () => {
  expect(intrusions(HOSTILE_MARK)).toEqual(["I15", "I15", "I15"]);
});

test("[I16] what comes from another cluster is found wherever it stands", () => {
  expect(intrusions(STRANGER_NAME)).toEqual(["I16", "I16", "I16"]);
});

test("[I17] an acknowledged write that is gone is found, unless its disk was lost", () => {
  const show = (entries: readonly Entry[], isWiped = false) =>
    rulesOf(
      (report) => new CallsChecker(report, () => 0),
      (checker) => {
        const a = peerOf("a", { entries });
        checker.expect(a, 1, { shard: "k", region: "b" });
        checker.answered(a, 1, { ok: true, value: { token: 5, writer: "w" } });
        if (isWiped) checker.wiped(a);
        checker.settled([a]);
      },
    );
  expect(show([entry(5, "b")])).toEqual([]);
  expect(show([entry(4, "a")])).toEqual(["I17"]);
  expect(show([])).toEqual(["I17"]);
  expect(show([], true)).toEqual([]);
});

test("[L2, L3] a shard without a living region keeps peers from having settled", () => {
  const checker = new AgreementChecker(() => {});
  const unsettled = (region: string | undefined, isWhole: boolean) => {
    const regions = { s0: "a", s1: region };
    return checker.unsettled([peerOf("a", { regions }), peerOf("b", { regions })], isWhole);
  };
  expect(unsettled("b", true)).toBeUndefined();
  expect(unsettled(undefined, true)).toContain("s1");
  expect(unsettled("gone", true)).toContain("s1");
  expect(unsettled("gone", false)).toContain("s1");
});

test("[U1, U2] noise while idle, and a storm after one change are found", () => {
  const peers = ["a", "b", "c"].map((name) => peerOf(name, { status: { links: 2 } }));
  const rules = (show: (checker: ResourcesChecker) => void) =>
    rulesOf((report) => new ResourcesChecker(report, 3, 32, () => 0), show);
  expect(rules((checker) => checker.idle(peers, 900))).toEqual([]);
  expect(rules((checker) => checker.idle(peers, 9000))).toEqual(["U1"]);
  expect(rules((checker) => checker.change(3, 4))).toEqual([]);
  expect(rules((checker) => checker.change(3, 5))).toEqual(["U2"]);
});

test("[G1] a change that is not pushed is found, unless a newer one was there before it", () => {
  const show = (lateMs: number, held: readonly Entry[] = []) => {
    let now = 0;
    const [a, b] = [alive("a"), alive("b")];
    Object.assign(b.machine as object, { entry: () => held[0] });
    const pace = { delayMsMean: 1, diskMs: 0, bytesPerMs: 1000 };
    return rulesOf(
      (report) => new SpreadChecker(report, () => now, pace),
      (checker) => {
        const written = [{ map: "allocations", entries: [entry(5, "v", "a")] }];
        checker.begin([a, b]);
        checker.persisted(a, written);
        now = lateMs;
        if (held.length === 0) checker.persisted(b, written);
        checker.end();
      },
    );
  };
  expect(show(10)).toEqual([]);
  expect(show(1000)).toEqual(["G1"]);
  expect(show(1000, [entry(5, "v", "b")])).toEqual([]);
  expect(show(1000, [entry(4, "v", "b")])).toEqual(["G1"]);
});

test("[A5] a table at rest that a plan would change is found, unless people allocate", () => {
  const show = (regions: Record<string, string>, workload: readonly WorkloadKind[] = []) => {
    const peer = peerOf("a", { regions });
    const member = (name: string) => ({
      ...{ name, removed: false, row: { weight: 1, zone: null, draining: false } },
    });
    Object.assign(peer.machine?.view as object, {
      membership: { all: () => ["a", "b"].map(member) },
      allocations: () =>
        Object.entries(regions).map(([shard, region]) => ({
          shard,
          region,
          token: 1,
          writer: "w",
        })),
      pins: () => [],
    });
    return rulesOf(
      (report) => new BalanceChecker(report, () => 20_000, workload),
      (checker) => checker.settled([peer]),
    );
  };
  expect(show({ s0: "a", s1: "b" })).toEqual([]);
  expect(show({ s0: "a", s1: "a" })).toEqual(["A5"]);
  expect(show({ s0: "a", s1: "a" }, ["allocate"])).toEqual([]);
});
