import fc from "fast-check";
import { expect, test } from "vitest";
import type { DialMark, Remote } from "../../src/core/event.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../../src/core/limits.ts";
import { Link } from "../../src/core/link.ts";
import { Links } from "../../src/core/links.ts";
import { Replica } from "../../src/core/replica.ts";
import { TIMINGS } from "../../src/core/timings.ts";

const replica = new Replica("x");
const timings = TIMINGS.lan;
const MAX_DRIFT_MS = 5000;

function link(
  self: string,
  other: string,
  id: number,
  isDialled: boolean,
  wallMs = 0,
  { dial, openedAt = 0 }: { dial?: DialMark; openedAt?: number } = {},
): Link {
  const remote: Remote = {
    name: other,
    incarnation: `${other}1`,
    address: "b:1",
    wallMs,
    founding: undefined,
    ...(dial && { dial }),
  };
  return new Link({ id, remote, isDialled, self, replica, timings }, openedAt, 0);
}

/** What one end keeps of links that open in this order; each is named by its dialler and number. */
function keptBy(self: "a" | "b", dials: readonly { dialler: "a" | "b"; id: number }[]): number[] {
  const links = new Links(self);
  for (const { dialler, id } of dials) {
    links.add(link(self, self === "a" ? "b" : "a", id, dialler === self));
  }
  return links.open().map(({ id }) => id);
}

test("[G7] both ends keep the link that the lower name dialled, in whatever order they open", () => {
  const dials = [
    { dialler: "a", id: 1 },
    { dialler: "b", id: 2 },
  ] as const;
  const order = fc.shuffledSubarray([...dials], { minLength: 2 });
  fc.assert(
    fc.property(order, order, (atA, atB) => {
      expect([keptBy("a", atA), keptBy("b", atB)]).toEqual([[1], [1]]);
    }),
  );
});

test("[G7] of any number of dials both ends keep one, the same", () => {
  const dialler = fc.constantFrom<"a" | "b">("a", "b");
  const dials = fc.array(dialler, { minLength: 1, maxLength: 6 });
  /** Those of one dialler open in the order of their making; those of two, in any. */
  const interleave = (diallers: readonly ("a" | "b")[], coins: readonly boolean[]) => {
    const all = diallers.map((each, id) => ({ dialler: each, id }));
    const queues = [
      all.filter((one) => one.dialler === "a"),
      all.filter((one) => one.dialler === "b"),
    ];
    return all.map((_, at) => {
      const [x, y] = coins[at] ? queues : queues.toReversed();
      return (x?.shift() ?? y?.shift()) as { dialler: "a" | "b"; id: number };
    });
  };
  const coins = fc.array(fc.boolean(), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(dials, coins, coins, (all, atA, atB) => {
      const kept = keptBy("a", interleave(all, atA));
      expect(kept).toHaveLength(1);
      expect(keptBy("b", interleave(all, atB))).toEqual(kept);
    }),
  );
});

test("[G7] of any number of dials at once, which open in any order at either end, both keep the same", () => {
  const dial = fc.record({
    ...{ dialler: fc.constantFrom<"a" | "b">("a", "b"), wallMs: fc.nat(2), mark: fc.nat() },
  });
  const isSame = (one: DialMark, other: DialMark) =>
    one.wallMs === other.wallMs && one.mark === other.mark;
  const dials = fc.uniqueArray(dial, { minLength: 1, maxLength: 6, comparator: isSame });
  const orders = dials.chain((all) => {
    const order = fc.shuffledSubarray(all, { minLength: all.length });
    return fc.tuple(order, order);
  });
  const keptAt = (self: "a" | "b", all: readonly ({ dialler: string } & DialMark)[]) => {
    const links = new Links(self);
    for (const [id, { dialler, ...mark }] of all.entries()) {
      const more = { dial: mark, openedAt: (id * HANDSHAKE_TIMEOUT_MS) / 6 };
      links.add(link(self, self === "a" ? "b" : "a", id, dialler === self, 0, more));
    }
    return links.open().map(({ remote }) => remote.dial);
  };
  fc.assert(
    fc.property(orders, ([atA, atB]) => {
      const kept = keptAt("a", atA);
      expect(kept).toHaveLength(1);
      expect(keptAt("b", atB)).toEqual(kept);
    }),
  );
});

test("[G7] a link that opens long after another of its dialler is the newer, whatever its clock said", () => {
  const links = new Links("a");
  const old = link("a", "b", 1, false, 0, { dial: { wallMs: 9000, mark: 1 } });
  const redialled = { dial: { wallMs: 5000, mark: 2 }, openedAt: HANDSHAKE_TIMEOUT_MS + 1 };
  links.add(old);
  expect(links.add(link("a", "b", 2, false, 0, redialled))).toEqual([old]);
});

test("[G7] of two links of one dialler the newer stays", () => {
  for (const self of ["a", "b"] as const) {
    for (const dialler of ["a", "b"] as const) {
      expect(
        keptBy(
          self,
          [1, 2, 3].map((id) => ({ dialler, id })),
        ),
      ).toEqual([3]);
    }
  }
});

test("[G7] who loses is told, and is listened to until it ends", () => {
  const links = new Links("b");
  const [theirs, ours] = [link("b", "a", 1, false), link("b", "a", 2, true)];
  expect(links.add(ours)).toEqual([]);
  expect(links.add(theirs)).toEqual([ours]);
  expect([ours.isClosing, theirs.isClosing, links.size]).toEqual([true, false, 2]);
  expect([links.get(2), links.to("a1")]).toEqual([ours, theirs]);
  links.delete(2);
  expect([links.get(2), links.size]).toEqual([undefined, 1]);
});

test("[G7] a newcomer that loses is closed itself", () => {
  const links = new Links("a");
  const [ours, theirs] = [link("a", "b", 1, true), link("a", "b", 2, false)];
  links.add(ours);
  expect(links.add(theirs)).toEqual([theirs]);
  expect(links.open()).toEqual([ours]);
});

test("[G7] links to two lives of one name are no duplicates", () => {
  const links = new Links("a");
  const first = link("a", "b", 1, true);
  const second = new Link(
    {
      ...{ id: 2, remote: { ...first.remote, incarnation: "b2" }, isDialled: true },
      ...{ self: "a", replica, timings },
    },
    0,
    0,
  );
  expect([...links.add(first), ...links.add(second)]).toEqual([]);
  expect([links.to("b1"), links.to("b2")]).toEqual([first, second]);
});

test("[C4] links that carry heartbeats only are open, and not usable", () => {
  const links = new Links("a");
  const [sound, drifting, closing] = [
    link("a", "b", 1, true),
    link("a", "c", 2, true, 6000),
    link("a", "d", 3, true),
  ];
  for (const each of [sound, drifting, closing]) links.add(each);
  links.close(closing);
  expect(links.open()).toEqual([sound, drifting]);
  expect(links.usable(MAX_DRIFT_MS)).toEqual([sound]);
});

test("[G3, G6] free are links that are usable, not full, and without an exchange of this end", () => {
  const links = new Links("a");
  const all = ["b", "c", "d", "e"].map((name, at) => link("a", name, at, true));
  for (const each of all) links.add(each);
  expect(links.free(MAX_DRIFT_MS)).toEqual(all);
  const [b, c, d, e] = all as [Link, Link, Link, Link];
  b.isCongested = true;
  c.sync.begin(0);
  links.delete(d.id);
  expect(links.free(MAX_DRIFT_MS)).toEqual([e]);
  b.isCongested = false;
  c.sync.abandon();
  expect(links.free(MAX_DRIFT_MS)).toEqual([b, c, e]);
});
