import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import { INQUIRIES_MAX } from "../../src/core/limits.ts";
import type { Message } from "../../src/core/message.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { effectsOf, HandDriven, life, rowEntry, sentTo, verdictEntry } from "./machines.ts";

const T = TIMINGS.lan;
const PULSE: Message = { type: "pulse", heardMs: 0, everyMs: T.heartbeatMs, asks: false };

/** A founded machine `a` that is linked with members b, c, d on links 1, 2, 3. */
function founded(...names: string[]): HandDriven {
  const driven = new HandDriven("a");
  driven.start();
  names.forEach((name, index) => {
    driven.open(index + 1, name);
    driven.delta(index + 1, "members", rowEntry(name, 1));
  });
  return driven;
}

/** Lets time pass while the given links are heard at every pulse; returns the effects. */
function hearing(driven: HandDriven, until: number, ...links: readonly number[]): Effect[] {
  const all: Effect[] = [];
  while (driven.now < until) {
    all.push(...driven.pass(Math.min(until, driven.now + 100)));
    for (const link of links) all.push(...driven.receive(link, PULSE));
  }
  return all;
}

const typesTo = (effects: readonly Effect[], link: number): string[] =>
  sentTo(effects, link).map(({ type }) => type);
const verdict = (driven: HandDriven, subject: string): unknown => {
  const value = driven.entry("verdicts", `${subject}/a`)?.value;
  return Array.isArray(value) ? value[0] : undefined;
};
const given = (effects: readonly Effect[]): number[] =>
  effectsOf(effects, "close").map(({ link }) => link);

/** The number of the inquiry that went out on a link. */
function inquiryIn(effects: readonly Effect[], link: number): number {
  const asked = sentTo(effects, link).find(({ type }) => type === "inquiry");
  return asked?.type === "inquiry" ? asked.inquiry : -1;
}

test("[F3] before it suspects a member a peer asks it, and three others whether they hear it", () => {
  const driven = founded("b", "c", "d", "e", "f");
  const effects = hearing(driven, 1190, 2, 3, 4, 5);
  const asks = sentTo(effects, 1).filter((message) => message.type === "pulse" && message.asks);
  expect(asks).toHaveLength(1);
  const asked = [2, 3, 4, 5].filter((link) => typesTo(effects, link).includes("inquiry"));
  expect(asked).toHaveLength(3);
  expect(verdict(driven, "b")).toBeUndefined();
});

test("[F3] a member that others hear is not suspected: its silent link is given up and dialled anew", () => {
  const driven = founded("b", "c");
  const effects = hearing(driven, 1100, 2);
  const inquiry = inquiryIn(effects, 2);
  const after = driven.receive(2, { type: "inquiry-answer", inquiry, heardMs: 20 });
  expect(effectsOf(after, "close")).toEqual([
    { type: "close", link: 1, code: "TIMEOUT", silent: true },
  ]);
  const later = hearing(driven, 1900, 2);
  expect(effectsOf([...after, ...later], "dial")[0]).toMatchObject({ address: "b:1" });
  expect(verdict(driven, "b")).toBeUndefined();
});

test("[F3] a member that is silent to all who were asked is suspected as soon as all have said so", () => {
  const driven = founded("b", "c");
  const effects = hearing(driven, 1100, 2);
  const denial = { type: "inquiry-answer", inquiry: inquiryIn(effects, 2), heardMs: -1 } as const;
  const after = driven.receive(2, denial);
  expect(verdict(driven, "b")).toBe("suspect");
  expect(given(after)).toEqual([1]);
  const why = driven.entry("verdicts", "b/a")?.value;
  expect(why).toMatchObject({ 4: "silent for 1100 ms, and to 1 other" });
});

test("[F3] who does not answer in time says nothing, and a sign of life ends the inquiry", () => {
  const silent = founded("b", "c");
  hearing(silent, 1325, 2);
  expect(verdict(silent, "b")).toBe("suspect");
  const heard = founded("b", "c");
  hearing(heard, 1150, 2);
  heard.receive(1, PULSE);
  hearing(heard, 1900, 2);
  expect(verdict(heard, "b")).toBeUndefined();
  expect(heard.machine.status().links).toBe(2);
});

test("[F3] an answer to nothing, a second one, and one of a stranger change nothing", () => {
  const driven = founded("b", "c", "d");
  const effects = hearing(driven, 1100, 2, 3);
  const inquiry = inquiryIn(effects, 2);
  const denial: Message = { type: "inquiry-answer", inquiry, heardMs: -1 };
  driven.receive(2, denial, denial, { ...denial, inquiry: inquiry + 1 });
  driven.open(9, "z");
  driven.receive(9, denial);
  expect(verdict(driven, "b")).toBeUndefined(); // d has not answered.
});

test("[F3] a witness that has heard the member just now says so at once", () => {
  const driven = founded("b", "c");
  driven.pass(150);
  const inquiry: Message = {
    ...{ type: "inquiry", inquiry: 7, subject: "b" },
    incarnation: life("b"),
  };
  const effects = driven.receive(2, inquiry);
  expect(sentTo(effects, 2)).toEqual([{ type: "inquiry-answer", inquiry: 7, heardMs: 150 }]);
  expect(sentTo(effects, 1)).toEqual([]);
});

test("[F3] any other witness asks the member, and answers when it is heard or the time is over", () => {
  const inquiry: Message = {
    ...{ type: "inquiry", inquiry: 7, subject: "b" },
    incarnation: life("b"),
  };
  const driven = founded("b", "c");
  driven.pass(700);
  expect(sentTo(driven.receive(2, inquiry), 1)).toMatchObject([{ type: "pulse", asks: true }]);
  driven.pass(720);
  const heard = driven.receive(1, PULSE);
  expect(sentTo(heard, 2)).toEqual([{ type: "inquiry-answer", inquiry: 7, heardMs: 0 }]);

  const deaf = founded("b", "c");
  deaf.pass(700);
  deaf.receive(2, inquiry);
  const answers = sentTo(deaf.pass(850), 2).filter(({ type }) => type === "inquiry-answer");
  expect(answers).toEqual([{ type: "inquiry-answer", inquiry: 7, heardMs: -1 }]);
  const unknown = deaf.receive(2, { ...inquiry, incarnation: life("b", 5) });
  expect(sentTo(unknown, 2)).toEqual([{ type: "inquiry-answer", inquiry: 7, heardMs: -1 }]);
});

test("[F2] a sign of life that asks is answered at once, and one that answers is not", () => {
  const driven = founded("b");
  const asking: Message = { ...PULSE, asks: true } as Message;
  expect(sentTo(driven.receive(1, asking), 1)).toMatchObject([{ type: "pulse", asks: false }]);
  expect(driven.receive(1, PULSE)).toEqual([]);
});

test("[F2] a member is heard every heartbeat by its monitors, by others less often, any traffic counting", () => {
  const driven = founded("b", "c", "d", "e", "f", "g", "h");
  const effects = hearing(driven, 20_000, 1, 2, 3, 4, 5, 6, 7);
  const counts = [1, 2, 3, 4, 5, 6, 7].map((link) => sentTo(effects, link).length);
  counts.sort((a, b) => b - a);
  for (const count of counts.slice(0, 3)) expect(count).toBeGreaterThanOrEqual(75);
  for (const count of counts.slice(3)) expect(count).toBeLessThan(40);
  const busy = founded("b");
  const sent: Effect[] = [];
  for (let write = 0; write < 100; write += 1) {
    sent.push(...busy.call({ type: "allocate", shard: "shard-0", region: "a" }).effects);
    sent.push(...hearing(busy, busy.now + 100, 1));
  }
  expect(typesTo(sent, 1).filter((type) => type === "pulse").length).toBeLessThan(3);
});

test("[F2] a member that is heard rarely is not missed before its time", () => {
  const driven = founded("b", "c");
  driven.receive(1, { type: "pulse", heardMs: 0, everyMs: 2000, asks: false });
  expect(given(hearing(driven, 2600, 2))).toEqual([]);
  expect(given(hearing(driven, 3200, 2))).toEqual([1]);
});

test("[F2] a member that is heard rarely, and whose link ends before the next sign of life, is not missed yet", () => {
  const asksAfterLoss = (ms: number): string[] => {
    const driven = founded("b", "c");
    driven.receive(1, { type: "pulse", heardMs: 0, everyMs: 2000, asks: false });
    hearing(driven, 1900, 2);
    driven.step({ type: "link-closed", link: 1, clean: false });
    return typesTo(hearing(driven, 1900 + ms, 2), 2).filter((type) => type === "inquiry");
  };
  expect(asksAfterLoss(T.silenceMs - T.heartbeatMs - 100)).toEqual([]);
  expect(asksAfterLoss(T.silenceMs)).toEqual(["inquiry"]);
});

test("[F4] a suspicion ends sooner when others confirm it, and never sooner than at once", () => {
  const deadAfter = (...accusers: string[]): number => {
    const driven = founded("b", "c", "d", "e");
    hearing(driven, 1400, 2, 3, 4);
    expect(verdict(driven, "b")).toBe("suspect");
    const about = driven.entry("members", "b");
    accusers.forEach((name, index) => {
      if (about === undefined) return;
      driven.delta(index + 2, "verdicts", verdictEntry("b", name, "suspect", about, 1400));
    });
    while (verdict(driven, "b") !== "dead") hearing(driven, driven.now + 50, 2, 3, 4);
    return driven.now;
  };
  const [alone, one, two] = [deadAfter(), deadAfter("c"), deadAfter("c", "d")];
  expect(one).toBeLessThan(alone);
  expect(two).toBeLessThan(one);
  expect(alone).toBeLessThan(1400 + 4 * Math.log10(6) * T.probeIntervalMs + 300);
});

test("[F4] verdicts of those who are no members confirm nothing", () => {
  const driven = founded("b", "c");
  hearing(driven, 1400, 2);
  const about = driven.entry("members", "b");
  for (const stranger of ["x", "y", "z"]) {
    if (about) driven.delta(2, "verdicts", verdictEntry("b", stranger, "suspect", about, 1400));
  }
  expect(driven.machine.view.membership.accusersOf("b")).toEqual(["a"]);
});

test("[F1] nobody adds to four suspicions, and a worse verdict is still given", () => {
  const driven = founded("b", "c", "d", "e", "f");
  const about = driven.entry("members", "b");
  for (const [index, name] of ["c", "d", "e", "f"].entries()) {
    if (about) driven.delta(index + 2, "verdicts", verdictEntry("b", name, "suspect", about, 5));
  }
  const given = new Set<unknown>();
  while (driven.now < 4000) {
    hearing(driven, driven.now + 50, 2, 3, 4, 5);
    given.add(verdict(driven, "b"));
  }
  expect([...given]).toEqual([undefined, "dead"]);
});

test("[F2] a peer that was suspected itself is more patient with the others", () => {
  const suspectAfter = (isAccused: boolean): number => {
    const driven = founded("b", "c");
    const own = driven.entry("members", "a");
    hearing(driven, 300, 1, 2);
    if (isAccused && own) {
      driven.delta(2, "verdicts", verdictEntry("a", "c", "suspect", own, 300));
    }
    while (verdict(driven, "b") === undefined) hearing(driven, driven.now + 50, 2);
    return driven.now;
  };
  expect(suspectAfter(true)).toBeGreaterThan(suspectAfter(false) + 500);
});

test("[F3] what others ask of a peer is bounded, and costs the member one question", () => {
  const driven = founded("b", "c");
  driven.pass(700);
  const flood = Array.from({ length: 4000 }, (_, inquiry): Message => {
    return { type: "inquiry", inquiry, subject: "b", incarnation: life("b") };
  });
  const effects = driven.receive(2, ...flood);
  expect(sentTo(effects, 1)).toHaveLength(1);
  const answers = sentTo(driven.pass(900), 2).filter(({ type }) => type === "inquiry-answer");
  expect(answers).toHaveLength(INQUIRIES_MAX);
});

test("[F2] a flood of questions in one frame is answered once", () => {
  const driven = founded("b");
  const asking: Message[] = Array(4000).fill({ ...PULSE, asks: true });
  expect(sentTo(driven.receive(1, ...asking), 1)).toHaveLength(1);
});

test("[F2] a peer that says it is alive and is silent is suspected like any other", () => {
  const driven = founded("b", "c");
  driven.receive(1, { type: "pulse", heardMs: 0, everyMs: 2 ** 42, asks: false });
  hearing(driven, 2 * T.keepAliveMs + T.silenceMs + T.heartbeatMs, 2);
  expect(verdict(driven, "b")).toBe("suspect");
});
