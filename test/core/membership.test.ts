import fc from "fast-check";
import { expect, test } from "vitest";
import { packTimestamp } from "../../src/core/clock.ts";
import {
  decodeRow,
  encodeRow,
  encodeVerdict,
  type MemberRow,
  Membership,
  publicMember,
  type VerdictKind,
  verdictKey,
} from "../../src/core/membership.ts";
import type { Entry, Value } from "../../src/core/message.ts";
import type { Stamp } from "../../src/core/units.ts";

const NOW = Date.UTC(2026, 0, 1);
const at = (ms: number): number => packTimestamp(NOW + ms);

const ROW: MemberRow = {
  status: "alive",
  incarnation: "i1",
  started: NOW,
  address: "b:1",
  zone: null,
  weight: 1,
  draining: false,
  joined: at(0),
  since: NOW,
};

const rowEntry = (ms: number, row: Partial<MemberRow> = {}, key = "b"): Entry => ({
  key,
  value: encodeRow({ ...ROW, ...row }),
  time: at(ms),
  writer: row.incarnation ?? "i1",
});

function verdictEntry(kind: VerdictKind, ms: number, about: Partial<Stamp>, accuser = "a"): Entry {
  const stamp = { time: at(0), writer: "i1", ...about };
  return {
    key: verdictKey("b", accuser),
    value: encodeVerdict({ kind, about: stamp, accuser: `${accuser}1`, why: "silent" }),
    time: at(ms),
    writer: `${accuser}1`,
  };
}

function memberOf(...entries: readonly Entry[]): Membership {
  const membership = new Membership();
  for (const entry of entries) {
    if (entry.key.includes("/")) membership.applyVerdict(entry);
    else membership.applyRow(entry);
  }
  return membership;
}

const statusOf = (membership: Membership) => membership.get("b")?.status;

test("[F1] a member is what its row says", () => {
  const membership = memberOf(rowEntry(0, { zone: "z", weight: 2.5 }), rowEntry(0, {}, "a"));
  expect(membership.get("b")).toEqual({
    name: "b",
    row: { ...ROW, zone: "z", weight: 2.5 },
    stamp: { time: at(0), writer: "i1" },
    status: "alive",
    removed: false,
    since: NOW,
    why: "It answers",
    accusers: [],
  });
  expect(membership.all().map(({ name }) => name)).toEqual(["a", "b"]);
  expect(membership.get("c")).toBeUndefined();
});

test.each(["suspect", "dead", "removed"] as const)(
  "[F1] a verdict %s counts only while the row it judges is the present one",
  (kind) => {
    const membership = memberOf(rowEntry(0), verdictEntry(kind, 10, {}));
    expect(membership.get("b")).toMatchObject({
      status: kind === "suspect" ? "suspect" : "dead",
      removed: kind === "removed",
      since: NOW + 10,
      why: "a: silent",
    });
    expect(membership.verdictBy("b", "a")).toBe(kind);

    expect(membership.applyRow(rowEntry(20))).toMatchObject({ name: "b", status: "alive" });
    expect(membership.get("b")).toMatchObject({ status: "alive", removed: false, since: NOW });
    expect(membership.verdictBy("b", "a")).toBeUndefined();
  },
);

test("[F1] a verdict about another row says nothing, until that row is the present one", () => {
  const future = verdictEntry("dead", 30, { time: at(20) });
  for (const about of [{ time: at(-1) }, { time: at(1) }, { writer: "i2" }]) {
    expect(statusOf(memberOf(rowEntry(0), verdictEntry("dead", 10, about)))).toBe("alive");
  }
  const membership = memberOf(rowEntry(0), future);
  expect(statusOf(membership)).toBe("alive");
  expect(membership.applyRow(rowEntry(20))).toMatchObject({ status: "dead" });
});

test("[F1] a verdict may come before the row that it judges", () => {
  const membership = new Membership();
  expect(membership.applyVerdict(verdictEntry("suspect", 10, {}))).toBeUndefined();
  expect(membership.get("b")).toBeUndefined();
  expect(membership.applyRow(rowEntry(0))).toMatchObject({ status: "suspect" });
});

test("[F1] of several verdicts the worst counts, and of equal ones the first given", () => {
  const verdicts = [
    verdictEntry("suspect", 10, {}, "a"),
    verdictEntry("dead", 30, {}, "c"),
    verdictEntry("dead", 20, {}, "d"),
  ];
  for (const order of [verdicts, verdicts.toReversed()]) {
    expect(memberOf(rowEntry(0), ...order).get("b")).toMatchObject({
      status: "dead",
      removed: false,
      since: NOW + 20,
      why: "d: silent; confirmed by c",
      accusers: ["d", "c"],
    });
  }
});

test("[F1] an accuser's later verdict replaces its earlier one", () => {
  const membership = memberOf(rowEntry(0), verdictEntry("dead", 10, {}));
  expect(membership.applyVerdict(verdictEntry("suspect", 20, {}))).toMatchObject({
    status: "suspect",
  });
});

test("[F1] the states do not depend on the order in which the newest entries come", () => {
  const names = fc.constantFrom("a", "b", "c");
  const row = fc
    .record({ key: names, left: fc.boolean() })
    .map(({ key, left }) => rowEntry(0, { status: left ? "left" : "alive" }, key));
  const verdict = fc
    .record({
      subject: names,
      accuser: names,
      kind: fc.constantFrom<VerdictKind>("suspect", "dead", "removed"),
      ms: fc.nat(3),
      about: fc.constantFrom(0, 0, 0, 1),
    })
    .map(({ subject, accuser, kind, ms, about }) => ({
      ...verdictEntry(kind, 10 + ms, { time: at(about) }, accuser),
      key: verdictKey(subject, accuser),
    }));
  const newest = fc.tuple(
    fc.uniqueArray(row, { selector: ({ key }) => key }),
    fc.uniqueArray(verdict, { selector: ({ key }) => key }),
  );
  fc.assert(
    fc.property(
      newest.chain(([rows, verdicts]) => {
        const all = [...rows, ...verdicts];
        return fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }));
      }),
      ([all, shuffled]) => {
        expect(memberOf(...shuffled).all()).toEqual(memberOf(...all).all());
      },
    ),
    { numRuns: 300 },
  );
});

test("[F6] no verdict overrules that a member left, and its shards may be claimed", () => {
  const left = rowEntry(5, { status: "left" });
  const about = { time: at(5) };
  for (const kind of ["suspect", "dead", "removed"] as const) {
    const verdict = verdictEntry(kind, 10, about);
    for (const membership of [memberOf(left, verdict), memberOf(verdict, left)]) {
      expect(membership.get("b")).toMatchObject({
        status: "left",
        removed: true,
        since: NOW + 5,
        why: "It said goodbye",
      });
    }
  }
});

test("[F6] a member that comes back after it left is alive", () => {
  const membership = memberOf(rowEntry(0, { status: "left" }));
  const again = rowEntry(10, { incarnation: "i2" });
  expect(membership.applyRow(again)).toMatchObject({ status: "alive", removed: false });
});

test("[F1] a change of the row is told, a row written anew without one is not", () => {
  const membership = memberOf(rowEntry(0));
  expect(membership.applyRow(rowEntry(1))).toBeUndefined();
  expect(membership.get("b")?.stamp.time).toBe(at(1));
  const changes: Partial<MemberRow>[] = [
    { address: "b:2" },
    { address: "b:2", zone: "z" },
    { address: "b:2", zone: "z", weight: 3 },
    { address: "b:2", zone: "z", weight: 3, draining: true },
    { address: "b:2", zone: "z", weight: 3, draining: true, incarnation: "i2" },
    { address: "b:2", zone: "z", weight: 3, draining: true, incarnation: "i2", status: "left" },
  ];
  changes.forEach((row, step) => {
    expect(membership.applyRow(rowEntry(step + 2, row))).toMatchObject({ name: "b" });
    expect(membership.applyRow(rowEntry(step + 2.5, row))).toBeUndefined();
  });
});

test("[F1] a member is shown with its status, since when and why", () => {
  const membership = memberOf(rowEntry(0, { draining: true, zone: "z" }));
  const shown = publicMember(membership.get("b") ?? expect.fail("b is a member"));
  expect(shown).toEqual({
    name: "b",
    address: "b:1",
    status: "alive",
    zone: "z",
    weight: 1,
    draining: true,
    incarnation: "i1",
    since: NOW,
    why: "It answers, and is draining",
    accusers: [],
  });
});

const good = encodeRow(ROW) as readonly Value[];
const malformedRows: readonly (Value | undefined)[] = [
  ...[undefined, null, true, 7, "alive", new Uint8Array(7), {}, { 0: "alive" }, [], ["alive"]],
  ...good.map((_, index) => good.toSpliced(index, 1, [])),
  ...good.map((_, index) => good.slice(0, index)),
  ...["dying", "suspect", null].map((status) => good.with(0, status)),
  ...[0, -1].map((weight) => good.with(5, weight)),
  good.with(1, "i".repeat(97)),
  good.with(3, "a".repeat(263)),
  good.with(4, "z".repeat(65)),
];

test("[F1] a row that this version cannot read is ignored, without a throw", () => {
  for (const value of malformedRows) {
    const entry = { key: "b", value, time: at(0), writer: "i1" };
    expect(decodeRow(entry)).toBeUndefined();
    expect(memberOf(entry).all()).toEqual([]);
  }
  for (const key of ["", "a/b", "-b", "b c", "x".repeat(65), "é"]) {
    expect(memberOf({ ...rowEntry(0), key }).all()).toEqual([]);
  }
});

test("[G10] fields that later versions append to a row or a verdict are no hindrance", () => {
  const [row, verdict] = [rowEntry(0), verdictEntry("dead", 10, {})];
  const longer = ({ value, ...entry }: Entry) => ({
    ...entry,
    value: [...(value as readonly Value[]), "new", [1]],
  });
  expect(memberOf(longer(row), longer(verdict)).get("b")).toMatchObject({
    row: ROW,
    status: "dead",
  });
});

test("[F1] a verdict that this version cannot read is ignored, without a throw", () => {
  const value = verdictEntry("dead", 10, {}).value as readonly Value[];
  const malformed: (Value | undefined)[] = [
    ...[undefined, null, 7, "dead", [], {}],
    ...value.map((_, index) => value.toSpliced(index, 1, [])),
    value.with(0, "doubtful"),
    value.with(4, "w".repeat(201)),
  ];
  for (const each of malformed) {
    const entry = { key: "b/a", value: each, time: at(10), writer: "a1" };
    expect(memberOf(rowEntry(0), entry).get("b")?.status).toBe("alive");
  }
  for (const key of ["", "b", "b/a/c"]) {
    const entry = { ...verdictEntry("dead", 10, {}), key };
    const membership = memberOf(rowEntry(0));
    membership.applyVerdict(entry);
    expect([key, statusOf(membership)]).toEqual([key, "alive"]);
  }
});
