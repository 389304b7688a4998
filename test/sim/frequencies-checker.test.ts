import { expect, test } from "vitest";
import { FrequenciesChecker } from "../../sim/checkers/frequencies.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import type { Contribution } from "../../src/core/contribution.ts";
import { countCentrally } from "../core/vocabularies.ts";
import { rulesOf } from "./shown-peers.ts";

/** A peer that counts these contributions, and says that these shards are missing. */
function counting(all: readonly Contribution[], missing: readonly string[] = []): SimulatedPeer {
  const { documents, terms } = countCentrally(all);
  const globalDf = (asked: readonly string[]) => ({
    ...{ documents, missing, complete: missing.length === 0, ageMs: 0 },
    frequencies: new Map(asked.map((term) => [term, terms.get(term) ?? 0])),
  });
  return {
    name: "a",
    machine: { view: { frequencies: { globalDf } } },
  } as unknown as SimulatedPeer;
}

/** What is found when a peer counts some of two publications of one shard and one of another. */
function foundIn(
  choose: (first: Contribution, second: Contribution, other: Contribution) => SimulatedPeer,
): string[] {
  return rulesOf(
    (report) => new FrequenciesChecker(report),
    (checker) => {
      const first = checker.next("shard-0", 1);
      const second = checker.next("shard-0", 2);
      const peer = choose(first, second, checker.next("shard-1", 3));
      checker.persisted(peer, [{ map: "frequencies", entries: [] }]);
      checker.stepped(peer);
    },
  );
}

test("[I13] a publication that counts twice, or beside another of its shard, is found", () => {
  expect(foundIn((_, second, other) => counting([second, other]))).toEqual([]);
  expect(foundIn((first, _, other) => counting([first, other]))).toEqual([]);
  expect(foundIn((_, second, other) => counting([second, second, other]))).toContain("I13");
  expect(foundIn((first, second, other) => counting([first, second, other]))).toContain("I13");
  expect(foundIn((first) => counting([first]))).toContain("I13");
  expect(foundIn((first) => counting([first], ["shard-1"]))).toEqual([]);
});

test("[I13] sums that are not those of the publications in them are found", () => {
  const more = (of: Contribution) => ({ ...of, documents: of.documents + 1 });
  const without = (of: Contribution) => {
    const [term = ""] = [...of.terms.keys()].filter((name) => !name.includes("#"));
    return { ...of, terms: new Map([...of.terms].filter(([name]) => name !== term)) };
  };
  expect(foundIn((_, second, other) => counting([more(second), other]))).toContain("I13");
  expect(foundIn((_, second, other) => counting([without(second), other]))).toContain("I13");
  // Of a shard that is missing, anything may be there.
  expect(foundIn((_, second, other) => counting([second, more(other)], ["shard-1"]))).toEqual([]);
});

test("[D1, D4] a publication that does not arrive once all is well is found", () => {
  const show = (choose: (older: Contribution, last: Contribution) => SimulatedPeer) =>
    rulesOf(
      (report) => new FrequenciesChecker(report),
      (checker) => {
        const older = checker.next("shard-0", 1);
        checker.republished([choose(older, checker.next("shard-0", 2))]);
      },
    );
  expect(show((_, last) => counting([last]))).toEqual([]);
  expect(show((older) => counting([older]))).toEqual(["D1"]);
  expect(show((_, last) => counting([last], ["shard-0"]))).toEqual(["D4"]);
});
