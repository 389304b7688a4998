/**
 * Document frequencies against a central count: what is complete is the sum of one publication of each
 * shard, and what was published last, once all is well, is what everybody counts.
 *
 * Every publication holds a term that no other has, its mark. So an answer tells which publications are
 * in it, and the counts of the common terms must be the sum of just those. What is said to be missing may
 * be there in part.
 */
import type { Contribution } from "../../src/core/contribution.ts";
import type { MapEntries } from "../../src/core/message.ts";
import { Random } from "../../src/core/random.ts";
import type { Checker, Report } from "../checker.ts";
import type { SimulatedPeer } from "../peer.ts";

/** Terms that all shards share: so many that a publication leaves most chunks as they are. */
const COMMON = Array.from({ length: 150 }, (_, number) => `term ${number}`);
const DOCUMENTS_MAX = 1000;
/** Terms that one publication changes at most. */
const CHANGES_MAX = 4;
/** Publications of a shard that may be the one that a peer has. */
const RECENT = 200;

/** What a shard is in an answer. */
interface Presence {
  readonly shard: string;
  readonly contribution: Contribution;
}

export class FrequenciesChecker implements Checker {
  readonly #report: Report;
  /** By shard, everything that anybody tried to publish, in order. */
  readonly #tried = new Map<string, Contribution[]>();
  /** Peers that have taken in frequencies since they were looked at. */
  readonly #changed = new Set<SimulatedPeer>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** The shard's next publication: the one before with a few changes, all drawn from `seed`. */
  next(shard: string, seed: number): Contribution {
    const random = new Random(seed);
    const tried = this.#tried.get(shard) ?? [];
    this.#tried.set(shard, tried);
    const terms = new Map(tried.at(-1)?.terms);
    terms.delete(markOf(shard, tried.length - 1));
    terms.set(markOf(shard, tried.length), 1);
    const changes = terms.size === 1 ? COMMON.length : random.below(CHANGES_MAX);
    for (let change = 0; change < changes; change += 1) {
      const term = random.pick(COMMON) as string;
      if (random.chance(0.2)) terms.delete(term);
      else terms.set(term, 1 + random.below(DOCUMENTS_MAX));
    }
    const contribution = { documents: DOCUMENTS_MAX + random.below(DOCUMENTS_MAX), terms };
    tried.push(contribution);
    return contribution;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    if (maps.some(({ map }) => map === "frequencies")) this.#changed.add(peer);
  }

  stepped(peer: SimulatedPeer): void {
    if (this.#changed.delete(peer)) this.#check(peer);
  }

  settled(peers: readonly SimulatedPeer[]): void {
    for (const peer of peers) this.#check(peer);
    const answers = new Set(peers.map((peer) => JSON.stringify(this.#ask(peer))));
    if (answers.size > 1) this.#report("D2", "Equal replicas give different frequencies");
  }

  /** [D4] Every shard has been published anew, by its region, and nothing was in the way. */
  republished(peers: readonly SimulatedPeer[]): void {
    for (const peer of peers) {
      const missing = peer.machine?.view.frequencies.globalDf([], 0).missing ?? [];
      if (missing.length > 0) this.#report("D4", `${peer.name} misses ${missing.join(", ")}`);
      for (const { shard, contribution } of this.#check(peer)) {
        if (contribution === this.#tried.get(shard)?.at(-1)) continue;
        this.#report("D1", `${peer.name} counts an older publication of ${shard}`);
      }
    }
  }

  /** [I13] Compares an answer with a central count; returns which publications are in it. */
  #check(peer: SimulatedPeer): Presence[] {
    const answer = this.#ask(peer);
    if (answer === undefined) return [];
    const missing = new Set(answer.missing);
    const present: Presence[] = [];
    for (const [shard, tried] of this.#tried) {
      if (missing.has(shard)) continue;
      const numbers = recent(tried);
      const marks = numbers.map((number) => answer.counts.get(markOf(shard, number)) ?? 0);
      if (marks.reduce((sum, count) => sum + count, 0) === 1) {
        const number = numbers[marks.indexOf(1)] as number;
        present.push({ shard, contribution: tried[number] as Contribution });
      } else {
        this.#report("I13", `${peer.name} counts publications of ${shard}: ${marks.join()}`);
        return present;
      }
    }
    const isExact = [...missing].every((shard) => !this.#tried.has(shard));
    this.#compare(peer, answer, present, isExact);
    return present;
  }

  #compare(
    peer: SimulatedPeer,
    answer: { readonly documents: number; readonly counts: ReadonlyMap<string, number> },
    present: readonly Presence[],
    isExact: boolean,
  ): void {
    const isRight = (found: number, sum: number): boolean =>
      isExact ? found === sum : found >= sum;
    const documents = present.reduce((sum, { contribution }) => sum + contribution.documents, 0);
    if (!isRight(answer.documents, documents)) {
      this.#report("I13", `${peer.name} counts ${answer.documents} documents, not ${documents}`);
    }
    for (const term of COMMON) {
      const counts = present.map(({ contribution }) => contribution.terms.get(term) ?? 0);
      const sum = counts.reduce((total, count) => total + count, 0);
      const found = answer.counts.get(term) ?? 0;
      if (isRight(found, sum)) continue;
      this.#report("I13", `${peer.name} counts "${term}" in ${found} documents, not in ${sum}`);
    }
  }

  #ask(peer: SimulatedPeer) {
    const view = peer.machine?.view;
    if (view === undefined) return undefined;
    const marks = [...this.#tried].flatMap(([shard, tried]) =>
      recent(tried).map((number) => markOf(shard, number)),
    );
    const { documents, frequencies, missing } = view.frequencies.globalDf([...COMMON, ...marks], 0);
    const counts = new Map([...frequencies].filter(([, count]) => count > 0));
    return { documents, missing, counts };
  }
}

/** The numbers of the last publications; a peer that were further behind would be called wrong. */
function recent(tried: readonly unknown[]): number[] {
  const first = Math.max(0, tried.length - RECENT);
  return Array.from({ length: tried.length - first }, (_, index) => first + index);
}

function markOf(shard: string, number: number): string {
  return `${shard} #${number}`;
}
