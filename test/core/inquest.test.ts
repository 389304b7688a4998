import fc from "fast-check";
import { expect, test } from "vitest";
import { Inquest, WITNESSES_MAX } from "../../src/core/inquest.ts";
import type { ProbeOutcome } from "../../src/core/message.ts";

const SUBJECT = { name: "b", incarnation: "b1", address: "b:1" };
const EXPIRES_AT = 1100;

const begun = (): Inquest => new Inquest(SUBJECT, 100, 100, EXPIRES_AT);

/** An inquest in which this peer's own dials came to `own`. */
function settled(own: ProbeOutcome): Inquest {
  const inquest = begun();
  for (let dial = 1; inquest.own === undefined; dial += 1) {
    inquest.dial = dial;
    inquest.dialled(own, 100 + 20 * dial);
  }
  return inquest;
}

test("[F5] an address that refuses is dialled again after 2 ms and after 20 ms, and no more", () => {
  const inquest = begun();
  expect(inquest.dialAt).toBe(100);
  inquest.dial = 1;
  expect(inquest.dialAt).toBe(Number.POSITIVE_INFINITY);
  inquest.dialled("refused", 105);
  expect([inquest.dialAt, inquest.own, inquest.finding]).toEqual([107, undefined, undefined]);
  inquest.dial = 2;
  inquest.dialled("refused", 110);
  expect([inquest.dialAt, inquest.own, inquest.finding]).toEqual([130, undefined, undefined]);
  inquest.dial = 3;
  inquest.dialled("refused", 140);
  expect([inquest.dialAt, inquest.own]).toEqual([Number.POSITIVE_INFINITY, "refused"]);
  expect(inquest.finding).toBe("dead");
});

test("[F5] one dial that is not refused ends the dialling: there is no verdict", () => {
  for (const outcome of ["reached", "unknown"] as const) {
    const inquest = begun();
    inquest.dial = 1;
    inquest.dialled("refused", 105);
    inquest.dial = 2;
    inquest.dialled(outcome, 110);
    expect([inquest.own, inquest.finding]).toEqual([outcome, "undecided"]);
    expect(inquest.dialAt).toBe(Number.POSITIVE_INFINITY);
  }
});

test("[F5] the member is dead only when all witnesses were refused too", () => {
  const inquest = settled("refused");
  for (const link of [1, 2, 3]) inquest.asked(link);
  inquest.testified(1, "refused");
  inquest.testified(2, "refused");
  expect(inquest.finding).toBeUndefined();
  inquest.testified(3, "refused");
  expect(inquest.finding).toBe("dead");
  expect(inquest.why).toBe("nothing listens at b:1 any more, and for 3 others too");
});

test("[F5] the finding follows from all outcomes: one reached or unknown and it is undecided", () => {
  const outcome = fc.constantFrom<ProbeOutcome | undefined>(
    "reached",
    "refused",
    "unknown",
    undefined,
  );
  fc.assert(
    fc.property(
      fc.constantFrom<ProbeOutcome>("refused", "reached", "unknown"),
      fc.array(outcome, { maxLength: WITNESSES_MAX }),
      (own, testimonies) => {
        const inquest = settled(own);
        testimonies.forEach((_, link) => void inquest.asked(link));
        testimonies.forEach((each, link) => {
          if (each !== undefined) inquest.testified(link, each);
        });
        const all = [own, ...testimonies];
        const expected = all.some((each) => each === "reached" || each === "unknown")
          ? "undecided"
          : all.includes(undefined)
            ? undefined
            : "dead";
        expect(inquest.finding).toBe(expected);
      },
    ),
  );
});

test("[F5] the word of somebody who was not asked does not count", () => {
  const inquest = settled("refused");
  inquest.asked(1);
  inquest.testified(2, "reached");
  expect(inquest.finding).toBeUndefined();
  inquest.testified(1, "refused");
  inquest.testified(2, "reached");
  expect(inquest.finding).toBe("dead");
});

test("[F5] a witness whose own link ended is not waited for, and is not counted", () => {
  const inquest = settled("refused");
  inquest.asked(1);
  inquest.asked(2);
  inquest.testified(1, "refused");
  inquest.lostWitness(2);
  expect([inquest.finding, inquest.why]).toEqual([
    "dead",
    "nothing listens at b:1 any more, and for 1 other too",
  ]);
  inquest.lostWitness(1);
  expect(inquest.why).toBe("nothing listens at b:1 any more");
});

test("[F5] witnesses alone decide nothing: this peer dials itself", () => {
  const inquest = begun();
  inquest.asked(1);
  inquest.testified(1, "refused");
  expect(inquest.finding).toBeUndefined();
});

test("[F5] a connection that is made and reset is tried again, and in the end it is no refusal", () => {
  const outcomesOf = (...outcomes: ("refused" | "reset")[]): ProbeOutcome | undefined => {
    const inquest = begun();
    for (const [dial, outcome] of outcomes.entries()) {
      expect(inquest.own).toBeUndefined();
      inquest.dial = dial;
      inquest.dialled(outcome, 100 + dial);
    }
    return inquest.own;
  };
  expect(outcomesOf("reset", "refused", "refused")).toBe("refused"); // The last of one that ended.
  expect(outcomesOf("reset", "reset", "reset")).toBe("unknown"); // Too many for one that lives.
  expect(outcomesOf("refused", "refused", "reset")).toBe("unknown");
});
