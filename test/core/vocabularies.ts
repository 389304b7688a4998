/**
 * Contributions for tests: few terms, so that shards share them, and a central count beside.
 */
import fc from "fast-check";
import type { Contribution } from "../../src/core/contribution.ts";
import type { Contributor } from "../../src/core/frequency-chunks.ts";
import type { PublicationResult } from "../../src/core/frequency-publisher.ts";
import type { Entry } from "../../src/core/message.ts";
import { effectsOf, type HandDriven } from "./machines.ts";

/** Terms that collide, and those that trip whoever keeps them in an object. */
const TERMS = [
  ...["a", "b", "c", "the", "__proto__", "constructor", "toString", "hasOwnProperty", "1", "-1"],
  ...["é", "\u{1f600}", "日本語", "`@_~", "x".repeat(256), "ß", "don't", "\u0000"],
];

export const contribution: fc.Arbitrary<Contribution> = fc
  .tuple(
    fc.uniqueArray(fc.oneof(fc.constantFrom(...TERMS), fc.nat(60).map(String)), { maxLength: 60 }),
    fc.integer({ min: 1, max: 5000 }),
    fc.nat(),
  )
  .map(([terms, documents, salt]) => ({
    documents,
    terms: new Map(terms.map((term, index) => [term, 1 + ((salt + index * 37) % documents)])),
  }));

/** A contribution of `size` terms `w0`, `w1`, ... */
export function vocabulary(size: number, documents = 100): Contribution {
  const terms = Array.from({ length: size }, (_, n) => [`w${n}`, 1 + (n % documents)] as const);
  return { documents, terms: new Map(terms) };
}

/** What one central counter would say. */
export function countCentrally(all: Iterable<Contribution>): Contribution {
  let documents = 0;
  const terms = new Map<string, number>();
  for (const each of all) {
    documents += each.documents;
    for (const [term, count] of each.terms) terms.set(term, (terms.get(term) ?? 0) + count);
  }
  return { documents, terms };
}

/** Publishes at a machine that hosts the shard; returns what it wrote, and what it answered. */
export function publishAt(
  driven: HandDriven,
  shard: string,
  what: Contribution,
  contributor: Contributor = "users",
): { readonly entries: readonly Entry[]; readonly result: PublicationResult } {
  const { effects, outcome } = driven.call({
    type: contributor === "users" ? "publish-frequencies" : "publish-hosted-frequencies",
    ...{ shard, contribution: what },
  });
  if (outcome?.ok !== true) throw new Error(outcome?.message ?? "No answer");
  const entries = effectsOf(effects, "persist")
    .flatMap(({ maps }) => maps)
    .filter(({ map }) => map === "frequencies")
    .flatMap((part) => part.entries);
  return { entries, result: outcome.value as PublicationResult };
}
