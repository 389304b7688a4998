/**
 * What followers of queries see, and what becomes of rows.
 *
 * While faults strike: the windows of a follower follow each other without a gap, under tokens that only grow;
 * each is exactly what a naive model has of the rows that the region had at that position, and under one
 * token no version of a row gets lower. Once all has
 * healed: each window is that of a naive model over the rows of the owner, and these have every write that was
 * acknowledged since a disk was lost last.
 */

import type { Delivery } from "../../src/core/delivery.ts";
import type { Change } from "../../src/core/effect.ts";
import type { HostTask } from "../../src/core/host-task.ts";
import type { Random } from "../../src/core/random.ts";
import { compareTokens, type FencingToken } from "../../src/core/token.ts";
import { applyDeltas } from "../../src/live/delta.ts";
import type { News, Position } from "../../src/live/gateway.ts";
import type { Row } from "../../src/live/row.ts";
import type { Checker, Report } from "../checker.ts";
import { ENTITIES, type LiveObserver, queryOf, ROWS, SimulatedLive } from "../live.ts";
import type { SimulatedPeer } from "../peer.ts";
import type { World } from "../world.ts";

/** Followers of one run. */
const FOLLOWERS_MAX = 24;

/** Share of the operations that follow a query anew, and of the writes that delete. */
const FOLLOW_PROBABILITY = 0.15;
const DELETE_PROBABILITY = 0.5;

/** Positions that are remembered: more than lie between two looks at a follower. */
const MOMENTS_MAX = 4096;

/** A query as its follower asked for it. */
interface Asked {
  readonly entity: string;
  /** Rows whose group is below this. */
  readonly below: number;
  readonly isDescending: boolean;
  readonly limit: number;
}

interface Follower {
  readonly live: SimulatedLive;
  readonly lives: number;
  readonly client: number;
  readonly asked: Asked;
  at: Position | undefined;
  rows: Row[];
  /** Versions of rows that it has seen under the present token. */
  readonly versions: Map<string, number>;
  isOver: boolean;
}

export class LiveChecker implements Checker, LiveObserver {
  readonly #report: Report;
  readonly #lives = new Map<SimulatedPeer, SimulatedLive>();
  #followers: Follower[] = [];
  /** Versions that were acknowledged since the last loss of a disk, by entity and id. */
  readonly #acknowledged = new Map<string, number>();
  /** All rows of an entity at the positions of late. */
  readonly #moments = new Map<string, readonly Row[]>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** These peers have rows and queries from now on. */
  attach(peers: readonly SimulatedPeer[], world: World, shards: number): void {
    for (const peer of peers) this.#lives.set(peer, new SimulatedLive(peer, world, shards, this));
  }

  booted(peer: SimulatedPeer): void {
    this.#lives.get(peer)?.booted();
  }

  wiped(peer: SimulatedPeer): void {
    if (peer.state !== "down") return; // A reset keeps the copies of rows.
    this.#lives.get(peer)?.wiped();
    this.#acknowledged.clear();
  }

  delivered(peer: SimulatedPeer, delivery: Delivery): void {
    this.#lives.get(peer)?.delivered(delivery);
  }

  changed(peer: SimulatedPeer, change: Change): void {
    if (change.type === "allocation") this.#lives.get(peer)?.viewChanged(change.shard);
    else if (change.type === "member") this.#lives.get(peer)?.viewChanged(undefined);
  }

  acquired(peer: SimulatedPeer, task: Extract<HostTask, { type: "acquire" }>): void {
    this.#lives.get(peer)?.acquired(task);
  }

  released(peer: SimulatedPeer, shard: string): void {
    this.#lives.get(peer)?.released(shard);
  }

  /** One operation of a user at some peer: it writes, or follows a query. */
  operate(random: Random): void {
    const live = random.pick([...this.#lives.values()]);
    const entity = random.pick(ENTITIES);
    if (live === undefined || entity === undefined || live.peer.state !== "up") return;
    if (random.chance(FOLLOW_PROBABILITY)) this.#follow(live, entity, random);
    else this.#write(live, entity, random);
  }

  #write(at: SimulatedLive, entity: string, random: Random): void {
    const region = at.peer.machine?.view.regionFor(at.shardOf(entity));
    const owner = [...this.#lives.values()].find(({ peer }) => peer.name === region);
    const id = `r${random.below(ROWS)}`;
    const isGone = random.chance(DELETE_PROBABILITY);
    const values = isGone ? undefined : [random.below(4), random.below(100)];
    if (owner?.peer.state !== "up") return;
    owner.write({ entity, id, values }, (version) => {
      const key = `${entity} ${id}`;
      this.#acknowledged.set(key, Math.max(version, this.#acknowledged.get(key) ?? 0));
    });
  }

  #follow(live: SimulatedLive, entity: string, random: Random): void {
    const asked = {
      ...{ entity, below: 2 + random.below(3), isDescending: random.chance(0.5) },
      limit: 1 + random.below(3),
    };
    const client = live.subscribe(
      queryOf({
        ...{ entity, limit: asked.limit },
        where: [{ column: "group", op: "lt", value: asked.below }],
        sort: [{ column: "rank", descending: asked.isDescending }],
      }),
    );
    if (client === undefined) return;
    const { lives } = live.peer;
    const about = { live, lives, client, asked, at: undefined, rows: [], isOver: false };
    this.#followers.push({ ...about, versions: new Map() });
    if (this.#followers.length <= FOLLOWERS_MAX) return;
    const [first] = this.#followers.splice(0, 1);
    if (first?.live.peer.lives === first?.lives) first?.live.gateway.unsubscribe(first.client);
  }

  /** The rows of a shard are at a position, under a token. */
  moment(live: SimulatedLive, shard: string, token: FencingToken, position: number): void {
    for (const entity of ENTITIES) {
      if (live.shardOf(entity) !== shard) continue;
      this.#moments.set(keyOf(entity, { ...token, sequence: position }), rowsOf(live, entity));
    }
    if (this.#moments.size <= MOMENTS_MAX) return;
    for (const key of [...this.#moments.keys()].slice(0, MOMENTS_MAX / 2))
      this.#moments.delete(key);
  }

  /** A follower is told something. */
  told(live: SimulatedLive, client: number, news: News): void {
    const follower = this.#followers.find(
      (each) => each.live === live && each.client === client && each.lives === live.peer.lives,
    );
    if (follower === undefined) return;
    if (news.type === "ended") {
      follower.isOver = true;
      return;
    }
    const { at } = follower;
    const order = at === undefined ? 1 : compareTokens(news.at, at);
    if (order < 0) this.#wrong("V8", follower, "was told of an older token");
    if (order > 0) follower.versions.clear();
    if (news.type === "reset") follower.rows = [...news.rows];
    else {
      if (at === undefined || order !== 0 || news.batch.after !== at.sequence) {
        this.#wrong("V8", follower, "was told of a change with a gap before it");
      }
      if (!applyDeltas(follower.rows, news.batch.deltas)) {
        this.#wrong("V3", follower, "was told of deltas that do not fit");
      }
    }
    follower.at = news.at;
    this.#look(follower);
  }

  #look(follower: Follower): void {
    const { rows, asked, versions } = follower;
    if (rows.length > asked.limit) this.#wrong("V2", follower, "has too many rows");
    const moment = follower.at && this.#moments.get(keyOf(asked.entity, follower.at));
    const expected = moment && wordsOf(sortedBy(moment, asked).slice(0, asked.limit));
    if (expected !== undefined && expected !== wordsOf(rows)) {
      this.#wrong("V2", follower, `has ${wordsOf(rows)} where the first rows are ${expected}`);
    }
    for (const { id, version } of rows) {
      if (version < (versions.get(id) ?? 0)) this.#wrong("V6", follower, `saw ${id} get older`);
      versions.set(id, version);
    }
  }

  /** What is not as it must be once everything has healed, and why; undefined when all is. */
  problem(): readonly [rule: string, why: string] | undefined {
    const [first] = this.#lives.values();
    for (const entity of ENTITIES) {
      const shard = first?.shardOf(entity) ?? "";
      const region = first?.peer.machine?.view.regionFor(shard);
      const owner = [...this.#lives.values()].find(({ peer }) => peer.name === region);
      if (owner === undefined) continue; // The shard has been removed.
      const all = rowsOf(owner, entity);
      for (const follower of this.#followers) {
        const { live, lives, asked, isOver, rows } = follower;
        if (asked.entity !== entity || isOver || live.peer.lives !== lives) continue;
        const expected = sortedBy(all, asked).slice(0, asked.limit);
        if (wordsOf(rows) !== wordsOf(expected)) {
          return ["V10", `${nameOf(follower)} has ${wordsOf(rows)}, not ${wordsOf(expected)}`];
        }
      }
      const lost = this.#lost(owner, entity);
      if (lost !== undefined) return ["V13", `${owner.peer.name} lacks ${lost}`];
    }
    return undefined;
  }

  /** A write that was acknowledged and is not there. */
  #lost(owner: SimulatedLive, entity: string): string | undefined {
    for (const [key, version] of this.#acknowledged) {
      const [of, id = ""] = key.split(" ");
      if (of !== entity) continue;
      const known = owner.rows.versionOf(owner.shardOf(entity), "t", entity, id) ?? 0;
      if (known < version) return `version ${version} of ${key}: it has ${known}`;
    }
    return undefined;
  }

  #wrong(rule: string, follower: Follower, what: string): void {
    this.#report(rule, `${nameOf(follower)} ${what}`);
  }
}

function rowsOf(live: SimulatedLive, entity: string): readonly Row[] {
  return live.rows.read(live.shardOf(entity), { query: queryOf({ entity }), count: ROWS }).rows;
}

const keyOf = (entity: string, { token, writer, sequence }: Position): string =>
  `${entity} ${token} ${writer} ${sequence}`;

/** The rows of a query, in order, as one would write it. */
function sortedBy(rows: readonly Row[], { below, isDescending }: Asked): Row[] {
  const sign = isDescending ? -1 : 1;
  return rows
    .filter(({ values }) => (values[1] as number) < below)
    .sort((a, b) => {
      const order = sign * ((a.values[2] as number) - (b.values[2] as number));
      return order !== 0 ? order : a.id < b.id ? -1 : 1;
    });
}

const wordsOf = (rows: readonly Row[]): string =>
  `[${rows.map(({ id, version, values }) => `${id}@${version}:${values[2]}`).join(" ")}]`;

const nameOf = ({ live, client, asked }: Follower): string =>
  `Follower ${client} at ${live.peer.name} of ${asked.entity}`;
