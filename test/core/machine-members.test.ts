import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import { decodeRow } from "../../src/core/membership.ts";
import type { Entry, Message } from "../../src/core/message.ts";
import {
  allocationEntry,
  at,
  effectsOf,
  HandDriven,
  life,
  persisted,
  rowEntry,
  sentTo,
  verdictEntry,
  WALL_MS,
} from "./machines.ts";

const NAMES = ["b", "c", "d", "e", "f"];

/** A founded machine with so many others on links 1, 2, ... */
function founded(
  others: number,
  options: ConstructorParameters<typeof HandDriven>[1] = {},
): HandDriven {
  const driven = new HandDriven("a", options);
  driven.start();
  NAMES.slice(0, others).forEach((name, index) => {
    driven.open(index + 1, name);
    driven.delta(index + 1, "members", rowEntry(name, 1));
  });
  return driven;
}

const statusOf = (driven: HandDriven, name: string) =>
  driven.machine.view.members().find((one) => one.name === name)?.status;
const ownRow = (driven: HandDriven): Entry =>
  driven.entry("members", driven.name) ?? expect.fail("a member has a row");

/** Refuses every dial until `until`; returns the effects. */
function refuseDials(driven: HandDriven, until: number, effects: readonly Effect[]): Effect[] {
  const all = [...effects];
  const refuse = (some: readonly Effect[]): void => {
    for (const { dial } of effectsOf(some, "dial")) {
      const more = driven.step({ type: "dial-failed", dial, failure: "refused" });
      all.push(...more);
      refuse(more);
    }
  };
  refuse(effects);
  driven.pass(until, (some) => {
    all.push(...some);
    refuse(some);
  });
  return all;
}

test.each(["suspect", "dead", "removed"] as const)(
  "[F1] a peer that is called %s writes its row anew in the same step",
  (kind) => {
    const driven = founded(2);
    const before = ownRow(driven);
    driven.now = 30;
    const effects = driven.delta(1, "verdicts", verdictEntry("a", "b", kind, before, 20));
    expect(persisted(effects)).toEqual(["verdicts a/b", "members a"]);
    expect(sentTo(effects, 2)).toMatchObject([{ type: "delta", maps: [{ map: "members" }] }]);
    expect(ownRow(driven).time).toBeGreaterThan(at(20));
    expect(decodeRow(ownRow(driven))).toEqual({ ...decodeRow(before), since: WALL_MS + 30 });
    expect(statusOf(driven, "a")).toBe("alive");
  },
);

test("[F1] a verdict about an earlier row of this peer is not kept, and needs no answer", () => {
  const driven = founded(1);
  const about = { time: at(-5), writer: life("a") };
  const effects = driven.delta(1, "verdicts", verdictEntry("a", "b", "dead", about, 20));
  expect(persisted(effects)).toEqual([]);
});

test("[F1, G1] a verdict that is dropped and taken anew in one step stays on the disk", () => {
  const driven = founded(2);
  driven.now = 100;
  const later = rowEntry("b", 60);
  const [first, second, third] = [
    { map: "verdicts", entries: [verdictEntry("b", "c", "suspect", rowEntry("b", 50), 90)] },
    { map: "members", entries: [later] }, // The verdict is about an earlier row now.
    { map: "verdicts", entries: [verdictEntry("b", "c", "suspect", later, 80)] },
  ];
  const [persist] = effectsOf(
    driven.receive(
      1,
      ...[first, second, third].map((part) => ({ type: "delta" as const, maps: [part] })),
    ),
    "persist",
  );
  expect(driven.entry("verdicts", "b/c")?.time).toBe(at(80));
  expect(persist?.maps.map(({ map }) => map)).toEqual(["verdicts", "members", "verdicts"]);
  expect(persist?.dropped ?? []).toEqual([]);
});

test("[S8] a peer whose row was overwritten by another life writes it anew", () => {
  const driven = founded(1);
  for (const startedMs of [500, -500]) {
    const writer = life("z", startedMs);
    const fields = { address: "a:1", started: WALL_MS + startedMs };
    const forged = rowEntry("a", driven.now + 10, fields, writer);
    driven.now += 20;
    const effects = driven.delta(1, "members", forged);
    expect(persisted(effects)).toEqual(["members a", "members a"]);
    expect(ownRow(driven)).toMatchObject({ writer: life("a") });
    expect(ownRow(driven).time).toBeGreaterThan(forged.time);
  }
});

test("[S8] a peer whom somebody says to have left writes that it is alive", () => {
  const driven = founded(1);
  driven.now = 20;
  driven.delta(1, "members", rowEntry("a", 10, { status: "left" }));
  expect(decodeRow(ownRow(driven))).toMatchObject({ status: "alive" });
});

test("[S8] a peer whose own row says what it did not write writes it anew", () => {
  for (const fields of [{ address: "evil:1" }, { weight: 99 }, { zone: "z" }, { draining: true }]) {
    const driven = founded(1);
    const before = decodeRow(ownRow(driven));
    driven.now = 20;
    driven.delta(1, "members", rowEntry("a", 10, fields));
    expect(decodeRow(ownRow(driven))).toEqual({ ...before, since: WALL_MS + 20 });
  }
});

test("[F5] a monitor redials a link that ends without goodbye at once, and asks three others to dial", () => {
  const driven = founded(5);
  const effects = driven.step({ type: "link-closed", link: 3, clean: false });
  const probe: Message = {
    type: "probe",
    probe: 1,
    subject: "d",
    incarnation: life("d"),
    address: "d:1",
  };
  const asking = { type: "pulse", heardMs: 0, everyMs: 250, asks: true };
  expect(effects).toEqual([
    { type: "dial", dial: 1, address: "d:1" },
    // Whether this side has a majority is seen by who answers now.
    ...[1, 2, 4, 5].map((link) => ({ type: "send", links: [link], message: asking })),
    // f and e monitor d, too, and have lost their links by now; b comes next in the circle.
    ...[5, 4, 1].map((link) => ({ type: "send", links: [link], message: probe })),
  ]);
});

test("[F5] who is no monitor of a member leaves its inquest to those for a moment, and then begins", () => {
  const driven = founded(5);
  expect(driven.step({ type: "link-closed", link: 4, clean: false })).toEqual([]);
  expect(effectsOf(driven.pass(99), "dial")).toEqual([]);
  const dials = effectsOf(driven.pass(100), "dial");
  expect(dials).toEqual([{ type: "dial", dial: 1, address: "e:1" }]);
});

test("[F5] an inquest that has become moot dials nobody", () => {
  const driven = founded(5);
  driven.step({ type: "link-closed", link: 4, clean: false });
  const about = { time: at(1), writer: life("e") };
  driven.delta(1, "verdicts", verdictEntry("e", "b", "removed", about, 2));
  driven.pass(100);
  const dialled = effectsOf(driven.pass(400), "dial");
  expect(dialled.length).toBeLessThan(3); // Redials there are, and they are none of an inquest.
  expect(driven.entry("verdicts", "e/a")).toBeUndefined();
});

test("[F5] when everyone was refused, also after 2 ms and 20 ms, the member is removed without suspicion", () => {
  const driven = founded(2);
  const held = [allocationEntry("shard-0", "b", 2), allocationEntry("shard-1", "c", 2)];
  driven.delta(1, "allocations", ...held);
  driven.now = 50;
  const first = driven.step({ type: "link-closed", link: 1, clean: false });
  const dials = refuseDials(driven, 90, first);
  expect(effectsOf(dials, "dial")).toHaveLength(3);
  expect(driven.entry("verdicts", "b/a")).toBeUndefined();
  const effects = driven.receive(2, { type: "probe-answer", probe: 1, outcome: "refused" });
  expect(driven.entry("verdicts", "b/a")?.value).toEqual([
    "removed",
    at(1),
    life("b"),
    life("a"),
    "nothing listens at b:1 any more, and for 1 other too",
    null,
  ]);
  expect(statusOf(driven, "b")).toBe("dead");
  // Its shard is claimed in the same step, and both are told at once.
  expect(persisted(effects)).toEqual(["verdicts b/a", "allocations shard-0"]);
  expect(sentTo(effects, 2)).toHaveLength(2);
});

test.each(["reached", "unknown"] as const)(
  "[F5] if one witness answers %s there is no verdict, and silence decides",
  (outcome) => {
    const driven = founded(2);
    const effects = driven.step({ type: "link-closed", link: 1, clean: false });
    refuseDials(driven, 40, effects);
    driven.receive(2, { type: "probe-answer", probe: 1, outcome });
    expect(driven.entry("verdicts", "b/a")).toBeUndefined();
    expect(statusOf(driven, "b")).toBe("alive");
    refuseDials(driven, 900, driven.step({ type: "woken" }));
    expect(statusOf(driven, "b")).toBe("alive");
  },
);

test("[F5] a witness that never answers is no refusal", () => {
  const driven = founded(2);
  refuseDials(driven, 900, driven.step({ type: "link-closed", link: 1, clean: false }));
  expect(driven.entry("verdicts", "b/a")).toBeUndefined();
});

test("[F5] a member that is reached gets a new link, and no verdict", () => {
  const driven = founded(2);
  const effects = driven.step({ type: "link-closed", link: 1, clean: false });
  const [dial] = effectsOf(effects, "dial");
  driven.open(9, "b", {}, dial?.dial);
  driven.receive(2, { type: "probe-answer", probe: 1, outcome: "refused" });
  driven.pass(100);
  expect(driven.entry("verdicts", "b/a")).toBeUndefined();
  expect(driven.machine.status().links).toBe(2);
});

test("[F5] a member that was refused to everybody and is back over a link of its own is not dead", () => {
  for (const isBack of [false, true]) {
    const driven = founded(2);
    driven.now = 50;
    refuseDials(driven, 90, driven.step({ type: "link-closed", link: 1, clean: false }));
    if (isBack) driven.open(9, "b");
    driven.receive(2, { type: "probe-answer", probe: 1, outcome: "refused" });
    expect(driven.entry("verdicts", "b/a") === undefined).toBe(isBack);
  }
});

test.each([
  ["clean", true],
  ["second", false],
] as const)("[F5] after the %s end of a link nobody asks who died", (how, clean) => {
  const driven = founded(2);
  if (how === "second") driven.open(9, "b", {}, 0);
  const effects = driven.step({ type: "link-closed", link: 1, clean });
  expect(effects.filter(({ type }) => type === "send")).toEqual([]);
});

test("[F5] an inquest that another peer asked for ends in an answer, and never in a verdict", () => {
  const driven = founded(2);
  const probe = {
    type: "probe",
    probe: 77,
    subject: "b",
    incarnation: life("b"),
    address: "b:1",
  } as const;
  const effects = refuseDials(driven, 60, driven.receive(2, probe));
  expect(effectsOf(effects, "dial")).toHaveLength(3);
  expect(sentTo(effects, 2).filter(({ type }) => type === "probe-answer")).toEqual([
    { type: "probe-answer", probe: 77, outcome: "refused" },
  ]);
  expect(persisted(effects)).toEqual([]);
  expect(statusOf(driven, "b")).toBe("alive");
});

test("[F5] nobody makes a peer dial what is no member's address", () => {
  const driven = founded(2);
  const probe = {
    type: "probe",
    probe: 5,
    subject: "b",
    incarnation: life("b"),
    address: "b:1",
  } as const;
  for (const wrong of [
    { ...probe, address: "victim:22" },
    { ...probe, incarnation: life("b", 1) },
    { ...probe, subject: "z" },
  ]) {
    expect(driven.receive(2, wrong)).toEqual([
      { type: "send", links: [2], message: { type: "probe-answer", probe: 5, outcome: "unknown" } },
    ]);
  }
});

test("[F5] an answer to a question that was not asked changes nothing", () => {
  const driven = founded(3);
  driven.step({ type: "link-closed", link: 1, clean: false });
  expect(driven.receive(2, { type: "probe-answer", probe: 12, outcome: "refused" })).toEqual([]);
});

test("[F2] silence is noticed: suspect, dead, and removed by the side with the majority", () => {
  const driven = founded(2);
  const changes: string[] = [];
  for (let now = 0; now < 12_000; now += 400) {
    driven.pass(now, (effects) => {
      for (const { change } of effectsOf(effects, "notify")) {
        if (change.type === "member") changes.push(`${change.name} ${change.status}`);
      }
      for (const { dial } of effectsOf(effects, "dial")) {
        driven.step({ type: "dial-failed", dial, failure: "unreachable" });
      }
    });
    const beat = {
      sentAt: 0,
      echo: -1,
      echoDelayMs: 0,
      heardMs: 0,
      stepMs: 0,
      leadMs: 0,
      everyMs: 250,
    };
    driven.receive(2, { type: "heartbeat", ...beat, wallMs: WALL_MS + now });
  }
  expect(changes).toEqual(["b suspect", "b dead", "b dead"]);
  expect(driven.entry("verdicts", "b/a")?.value).toMatchObject({ 0: "removed" });
  expect(driven.machine.isReady).toBe(true);
});

test("[F2] a link whose other end does not hear this one is ended", () => {
  const driven = founded(1);
  const beat = {
    sentAt: 0,
    echo: -1,
    echoDelayMs: 0,
    stepMs: 0,
    leadMs: 0,
    everyMs: 250,
    wallMs: WALL_MS,
  };
  expect(
    effectsOf(driven.receive(1, { type: "heartbeat", ...beat, heardMs: 1250 }), "close"),
  ).toEqual([]);
  const effects = driven.receive(1, { type: "heartbeat", ...beat, heardMs: 1251 });
  expect(effectsOf(effects, "close")).toEqual([
    { type: "close", link: 1, code: "TIMEOUT", silent: true },
  ]);
});

test("[F2] a peer that was late accuses nobody for it, and is not heard from the future", () => {
  for (const first of ["woken", "received"] as const) {
    const driven = founded(2);
    driven.pass(1000);
    const beat = {
      sentAt: 0,
      echo: -1,
      echoDelayMs: 0,
      heardMs: 0,
      stepMs: 0,
      leadMs: 0,
      everyMs: 250,
    };
    const message = { type: "heartbeat", ...beat, wallMs: WALL_MS } as const;
    const effects =
      first === "woken"
        ? driven.step({ type: "woken" }, 61_000)
        : driven.step({ type: "received", link: 1, messages: [message], refused: 0 }, 61_000);
    expect(effectsOf(effects, "close")).toEqual([]);
    expect(persisted(effects)).toEqual([]);
    for (const sent of [1, 2].flatMap((link) => sentTo(effects, link))) {
      if (sent.type === "heartbeat") expect(sent.heardMs).toBeGreaterThanOrEqual(0);
    }
    // From now on silence counts as ever.
    const later = driven.pass(64_000);
    expect(
      effectsOf(later, "close")
        .map(({ link }) => link)
        .sort(),
    ).toEqual([1, 2]);
  }
});

test("[F9] a side without a majority refuses writes with NOT_READY, and accuses nobody further", () => {
  const driven = founded(2);
  let wasReady = true;
  driven.pass(20_000, (effects) => {
    if (!wasReady) expect(persisted(effects)).toEqual([]);
    wasReady = driven.machine.isReady;
    for (const { dial } of effectsOf(effects, "dial")) {
      driven.step({ type: "dial-failed", dial, failure: "unreachable" });
    }
  });
  expect(driven.machine.isReady).toBe(false);
  expect(driven.machine.status().why).toBe(
    "it is on a side that may not go on (downing: majority)",
  );
  const { effects, outcome } = driven.call({ type: "allocate", shard: "shard-0", region: "a" });
  expect(outcome).toMatchObject({ ok: false, code: "NOT_READY" });
  expect(persisted(effects)).toEqual([]);
});

test("[F9] with downing off a peer that hears nobody goes on", () => {
  const driven = founded(2, { downing: "off" });
  driven.pass(20_000, (effects) => {
    for (const { dial } of effectsOf(effects, "dial")) {
      driven.step({ type: "dial-failed", dial, failure: "unreachable" });
    }
  });
  expect(driven.machine.isReady).toBe(true);
  expect(driven.machine.view.regionFor("shard-0")).toBe("a");
});

test("[F6] a member that left is not dialled, suspected or asked after", () => {
  const driven = founded(2);
  driven.delta(1, "members", rowEntry("b", 5, { status: "left" }));
  const effects = [
    ...driven.step({ type: "link-closed", link: 1, clean: false }),
    ...driven.pass(900),
  ];
  expect(effectsOf(effects, "dial")).toEqual([]);
  expect(statusOf(driven, "b")).toBe("left");
  driven.delta(
    2,
    "verdicts",
    verdictEntry("b", "c", "removed", { time: at(5), writer: life("b") }, 9),
  );
  expect(statusOf(driven, "b")).toBe("left");
});

test("[F7] who meets another life of its own name ends that link with NAME_TAKEN", () => {
  const driven = founded(1);
  const twin = { incarnation: life("a", 9), address: "a2:1" };
  expect(driven.open(5, "a", twin)).toEqual([{ type: "close", link: 5, code: "NAME_TAKEN" }]);
  expect(driven.machine.isReady).toBe(true);
});
