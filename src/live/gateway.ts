/**
 * The gateway's side of live queries: what its clients follow, wherever that is.
 *
 * Clients that ask for the same shape share one *upstream*: a subscription at the region of the shard, and a
 * copy of the window. So a shape costs the region one subscription for each gateway, a client that comes
 * later is served from the copy at once, and so is one that has fallen behind.
 *
 * An upstream belongs to whom the table says hosts its shard. When that changes, when the region says that
 * it does not serve the shard, when the conversation with it ends, or when a sequence is missing, it is asked
 * for anew, under a new number: what comes late for an old number means nothing. Until its rows are here,
 * all of them, clients keep what they have; then they get a reset, and the rows. They never get a part.
 *
 * A region that has lost its shard without knowing may still answer. So answers under a fencing token that
 * is older than one that the upstream has seen are dropped, and the region is asked again.
 *
 * After a failover many upstreams want a new region at once. They are asked for a few at a time, and the next
 * ones when those have their rows: a new region has other things to do as well.
 *
 * A window at (token, writer, sequence) is one and the same at every gateway. So who comes back with the
 * position of what it has seen last gets what followed, if that is remembered here, or else all rows.
 *
 * Rules: SPEC.md, section V (V7 to V10, V12).
 */
import { assert } from "../core/assert.ts";
import { HearsayError, type Refusal } from "../core/error.ts";
import { shardOf } from "../core/shard-of.ts";
import { compareTokens, type FencingToken } from "../core/token.ts";
import type { Instant, PeerName, ShardId } from "../core/units.ts";
import { GATEWAY_CLIENTS_MAX, GATEWAY_SHAPES_MAX, HISTORY_MAX, SUBSCRIBING_MAX } from "./bounds.ts";
import type { Membership } from "./bus.ts";
import { applyDeltas } from "./delta.ts";
import type { Answer, Control } from "./message.ts";
import type { Query } from "./query.ts";
import type { Row } from "./row.ts";
import type { Batch } from "./view.ts";

/** How long the first rows of a client may take, in ms. */
const FIRST_ROWS_MS = 10_000;

/** How long a region may take with the rows of an upstream before it is asked again, in ms. */
const ANSWER_MS = 5000;

/** How long after a region said no it is asked again, in ms: twice as long each time. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 1000;

/** Where a window stands. Equal positions of equal shapes are equal windows. */
export interface Position extends FencingToken {
  readonly sequence: number;
}

/** What a client is told. `at` is where its window stands then. */
export type News =
  | { readonly type: "reset"; readonly rows: readonly Row[]; readonly at: Position }
  | { readonly type: "batch"; readonly batch: Batch; readonly at: Position }
  | { readonly type: "ended"; readonly refusal: Refusal };

export interface GatewayOptions {
  readonly membership: Membership;
  readonly shardCount: number;
}

interface Client {
  readonly id: number;
  upstream: Upstream;
  /** When it is given up for want of rows; undefined once it has some. */
  deadline: Instant | undefined;
  /** What it had seen when it came. */
  resume: Position | undefined;
}

interface Upstream {
  readonly query: Query;
  readonly shard: ShardId;
  readonly clients: Set<Client>;
  /** Whom it is asked for, and under which number; undefined while it waits for its turn. */
  region: PeerName | undefined;
  sub: number | undefined;
  /** The subscription that a new one takes the place of. */
  from: number | undefined;
  /** When to look at it again. */
  dueAt: Instant;
  retryMs: number;
  isLive: boolean;
  /** The highest token that any region has answered under. */
  seen: FencingToken | undefined;
  /** What clients have, and where that stands; undefined before the first rows. */
  at: Position | undefined;
  rows: Row[];
  /** Rows that have come of a window that is not whole yet. */
  incoming: Row[] | undefined;
  history: Batch[];
}

interface Region {
  /** Upstreams that are to be asked for, in order. */
  readonly wanting: Set<Upstream>;
  /** Those that were, and whose rows are not here. */
  readonly asked: Set<Upstream>;
  /** Those that it answers. */
  readonly live: Set<Upstream>;
  /** Subscriptions that it may forget. */
  readonly leaving: number[];
}

export class LiveGateway {
  readonly #options: GatewayOptions;
  readonly #upstreams = new Map<string, Upstream>();
  readonly #bySub = new Map<number, Upstream>();
  readonly #byShard = new Map<ShardId, Set<Upstream>>();
  readonly #clients = new Map<number, Client>();
  readonly #regions = new Map<PeerName, Region>();
  /** Upstreams that have no region that can be asked, or wait for another try. */
  readonly #waiting = new Set<Upstream>();
  /** Clients that have no rows yet. */
  readonly #newcomers = new Set<Client>();
  readonly #news: [client: number, news: News][] = [];
  #lastSub = 0;
  #lastClient = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  get counts(): { readonly clients: number; readonly shapes: number } {
    return { clients: this.#clients.size, shapes: this.#upstreams.size };
  }

  /** Adds a client of a query that was judged and allowed. Throws `BUFFER_FULL`. */
  subscribe(query: Query, now: Instant, resume?: Position): number {
    if (this.#clients.size >= GATEWAY_CLIENTS_MAX) throw full(`${GATEWAY_CLIENTS_MAX} clients`);
    const upstream = this.#upstream(query);
    this.#lastClient += 1;
    const id = this.#lastClient;
    const client: Client = { id, upstream, deadline: now + FIRST_ROWS_MS, resume };
    this.#clients.set(id, client);
    this.#attach(client, upstream);
    return id;
  }

  /** A client wants nothing more. */
  unsubscribe(id: number): void {
    const client = this.#clients.get(id);
    if (client === undefined) return;
    this.#clients.delete(id);
    this.#newcomers.delete(client);
    this.#detach(client, undefined);
  }

  /** A client wants another query instead. Throws `BUFFER_FULL`, and then it keeps the one it has. */
  reanchor(id: number, query: Query, now: Instant): void {
    const client = this.#clients.get(id);
    if (client === undefined || client.upstream.query.shape === query.shape) return;
    const upstream = this.#upstream(query);
    const before = client.upstream;
    client.upstream = upstream;
    client.resume = undefined;
    client.deadline = now + FIRST_ROWS_MS;
    this.#attach(client, upstream);
    client.upstream = before;
    this.#detach(client, upstream);
    client.upstream = upstream;
  }

  /** All that a client should have now, for one that has missed something; undefined before it has any. */
  current(id: number): News | undefined {
    const upstream = this.#clients.get(id)?.upstream;
    if (upstream?.at === undefined) return undefined;
    return { type: "reset", rows: [...upstream.rows], at: upstream.at };
  }

  /** Takes what clients are to be told, in order. News are shared: they must not be changed. */
  takeNews(): [client: number, news: News][] {
    return this.#news.splice(0);
  }

  /** The table says something new of a shard. */
  moved(shard: ShardId): void {
    for (const upstream of this.#byShard.get(shard) ?? []) {
      const isElsewhere = upstream.region !== this.#options.membership.regionOf(shard);
      if (isElsewhere || this.#waiting.has(upstream)) this.#begin(upstream);
    }
  }

  /** The conversation with a region has ended: everything there is asked for anew. */
  lost(name: PeerName): void {
    const region = this.#regions.get(name);
    if (region === undefined) return;
    region.leaving.length = 0; // It has forgotten them by itself.
    for (const upstream of [...region.asked, ...region.live]) {
      if (upstream.sub !== undefined) this.#bySub.delete(upstream.sub);
      upstream.sub = undefined;
      this.#begin(upstream);
    }
    for (const upstream of region.wanting) upstream.from = undefined;
  }

  /** A region answers. */
  received(from: PeerName, answer: Answer, now: Instant): void {
    const upstream = this.#bySub.get(answer.sub);
    if (upstream === undefined || upstream.region !== from) return; // Of an earlier subscription.
    switch (answer.type) {
      case "refused": {
        const { code, message } = answer;
        this.#end(upstream, { ok: false, code, message: `Cannot subscribe: ${message}` });
        return;
      }
      case "moved":
        this.#forget(upstream);
        this.#retry(upstream, now);
        return;
      case "subscribed":
      case "rows":
      case "deltas":
        if (upstream.seen !== undefined && compareTokens(answer, upstream.seen) < 0) {
          this.#retry(upstream, now); // [V8] It does not know yet that it has lost the shard.
          return;
        }
        upstream.seen = { token: answer.token, writer: answer.writer };
    }
    if (answer.type === "rows") this.#rows(upstream, answer, now);
    else if (answer.type === "deltas") this.#deltas(upstream, answer);
  }

  /** Takes what is to be posted to a region next; undefined when nothing is. */
  nextFrame(to: PeerName, now: Instant): Control[] | undefined {
    const region = this.#regions.get(to);
    if (region === undefined) return undefined;
    const controls: Control[] = [];
    for (const upstream of region.wanting) {
      if (region.asked.size >= SUBSCRIBING_MAX) break; // [V10]
      region.wanting.delete(upstream);
      region.asked.add(upstream);
      this.#lastSub += 1;
      upstream.sub = this.#lastSub;
      upstream.dueAt = now + ANSWER_MS;
      this.#bySub.set(upstream.sub, upstream);
      const { sub, shard, from, query } = upstream;
      const asked = { sub, shard, query: query.spec, columns: query.table.fingerprint };
      controls.push(
        from === undefined ? { type: "subscribe", ...asked } : { type: "reanchor", from, ...asked },
      );
      upstream.from = undefined;
    }
    for (const sub of region.leaving.splice(0, SUBSCRIBING_MAX)) {
      controls.push({ type: "unsubscribe", sub });
    }
    return controls.length === 0 ? undefined : controls;
  }

  /** The regions that something is to be posted to. */
  *ready(): Generator<PeerName> {
    for (const [name, { wanting, asked, leaving }] of this.#regions) {
      if (leaving.length > 0 || (wanting.size > 0 && asked.size < SUBSCRIBING_MAX)) yield name;
    }
  }

  /** The regions that are needed. */
  regions(): IterableIterator<PeerName> {
    for (const [name, region] of this.#regions) {
      const { wanting, asked, live, leaving } = region;
      if (wanting.size + asked.size + live.size + leaving.length === 0) this.#regions.delete(name);
    }
    return this.#regions.keys();
  }

  /** When `tick` should be called. */
  deadline(): Instant {
    let deadline = Number.POSITIVE_INFINITY;
    for (const { deadline: at } of this.#newcomers) deadline = Math.min(deadline, at ?? deadline);
    for (const { dueAt } of this.#waiting) deadline = Math.min(deadline, dueAt);
    for (const { asked } of this.#regions.values()) {
      for (const { dueAt } of asked) deadline = Math.min(deadline, dueAt);
    }
    return deadline;
  }

  tick(now: Instant): void {
    for (const upstream of [...this.#waiting]) if (upstream.dueAt <= now) this.#begin(upstream);
    for (const { asked } of [...this.#regions.values()]) {
      for (const upstream of [...asked]) if (upstream.dueAt <= now) this.#begin(upstream);
    }
    for (const client of [...this.#newcomers]) {
      if (client.deadline === undefined || client.deadline > now) continue;
      const isHomeless = client.upstream.region === undefined;
      const message = isHomeless ? "no region hosts its shard" : "its region does not answer";
      const code = isHomeless ? "NO_REGION" : "TIMEOUT";
      this.#news.push([
        client.id,
        { type: "ended", refusal: { ok: false, code, message: `Cannot subscribe: ${message}` } },
      ]);
      this.unsubscribe(client.id);
    }
  }

  #upstream(query: Query): Upstream {
    const known = this.#upstreams.get(query.shape);
    if (known !== undefined) return known;
    if (this.#upstreams.size >= GATEWAY_SHAPES_MAX) throw full(`${GATEWAY_SHAPES_MAX} queries`); // [S4]
    const shard = `shard-${shardOf(query.tenant, query.table.entity, this.#options.shardCount)}`;
    const upstream: Upstream = {
      ...{ query, shard, clients: new Set(), region: undefined, sub: undefined, from: undefined },
      ...{ dueAt: 0, retryMs: RETRY_MS, isLive: false, seen: undefined, at: undefined, rows: [] },
      ...{ incoming: undefined, history: [] },
    };
    this.#upstreams.set(query.shape, upstream);
    const others = this.#byShard.get(shard) ?? new Set();
    this.#byShard.set(shard, others.add(upstream));
    return upstream;
  }

  #attach(client: Client, upstream: Upstream): void {
    upstream.clients.add(client);
    if (upstream.at === undefined) this.#newcomers.add(client);
    else this.#welcome(client, upstream, { at: upstream.at, rows: [...upstream.rows] });
    if (upstream.clients.size === 1 && upstream.region === undefined) this.#begin(upstream);
  }

  /** The first that a client hears: what followed on what it has seen, or all rows [V12]. */
  #welcome(
    client: Client,
    { history }: Upstream,
    { at, rows }: { readonly at: Position; readonly rows: readonly Row[] },
  ): void {
    const { resume } = client;
    client.resume = undefined;
    client.deadline = undefined;
    this.#newcomers.delete(client);
    if (resume !== undefined && compareTokens(resume, at) === 0) {
      const { token, writer } = at;
      const first = history.findIndex(({ after }) => after === resume.sequence);
      if (first >= 0 || resume.sequence === at.sequence) {
        for (const batch of first < 0 ? [] : history.slice(first)) {
          const { sequence } = batch;
          this.#news.push([client.id, { type: "batch", batch, at: { token, writer, sequence } }]);
        }
        return;
      }
    }
    this.#news.push([client.id, { type: "reset", rows, at }]);
  }

  /** A client goes, to `next` if it wants another query. */
  #detach(client: Client, next: Upstream | undefined): void {
    const { upstream } = client;
    upstream.clients.delete(client);
    if (upstream.clients.size > 0) return;
    const { sub, region, shard } = upstream;
    const isHandedOn =
      next !== undefined && sub !== undefined && next.sub === undefined && next.shard === shard;
    if (isHandedOn && next.region === region) {
      next.from = sub; // [V7] Its region forgets the one when it takes the other.
      this.#forget(upstream);
    } else this.#leave(upstream);
    this.#remove(upstream);
  }

  #remove(upstream: Upstream): void {
    this.#upstreams.delete(upstream.query.shape);
    const others = this.#byShard.get(upstream.shard);
    others?.delete(upstream);
    if (others?.size === 0) this.#byShard.delete(upstream.shard);
  }

  /** Asks for an upstream anew, wherever its shard is now. */
  #begin(upstream: Upstream): void {
    this.#leave(upstream);
    const name = this.#options.membership.regionOf(upstream.shard);
    upstream.region = name;
    if (name === undefined) {
      upstream.dueAt = Number.POSITIVE_INFINITY; // `moved` says when there is one.
      this.#waiting.add(upstream);
    } else this.#region(name).wanting.add(upstream);
  }

  #retry(upstream: Upstream, now: Instant): void {
    this.#leave(upstream);
    upstream.dueAt = now + upstream.retryMs;
    upstream.retryMs = Math.min(2 * upstream.retryMs, RETRY_MS_MAX);
    this.#waiting.add(upstream);
  }

  /** Lets its region know that an upstream is not followed there any more. */
  #leave(upstream: Upstream): void {
    const { sub, region, from } = upstream;
    const leaving = region === undefined ? undefined : this.#regions.get(region)?.leaving;
    if (sub !== undefined) leaving?.push(sub);
    if (from !== undefined) leaving?.push(from);
    upstream.from = undefined;
    this.#forget(upstream);
  }

  #forget(upstream: Upstream): void {
    const { sub, region } = upstream;
    if (sub !== undefined) this.#bySub.delete(sub);
    this.#waiting.delete(upstream);
    const known = region === undefined ? undefined : this.#regions.get(region);
    known?.wanting.delete(upstream);
    known?.asked.delete(upstream);
    known?.live.delete(upstream);
    upstream.sub = undefined;
    upstream.isLive = false;
    upstream.incoming = undefined;
  }

  #rows(upstream: Upstream, answer: Extract<Answer, { type: "rows" }>, now: Instant): void {
    const { token, writer, sequence, isFirst, isLast, rows } = answer;
    if (isFirst) upstream.incoming = [];
    const { incoming } = upstream;
    if (incoming === undefined || incoming.length + rows.length > upstream.query.limit) {
      this.#begin(upstream);
      return;
    }
    for (const row of rows) incoming.push(row);
    upstream.dueAt = now + ANSWER_MS;
    if (!isLast) return;
    upstream.incoming = undefined;
    upstream.isLive = true;
    upstream.retryMs = RETRY_MS;
    upstream.rows = incoming;
    upstream.history = [];
    upstream.at = { token, writer, sequence };
    const region = this.#region(upstream.region ?? "");
    region.asked.delete(upstream);
    region.live.add(upstream);
    const news: News = { type: "reset", rows: [...incoming], at: upstream.at };
    for (const client of upstream.clients) {
      // [V8] Never a bare reset: all of the window, in one piece.
      if (client.deadline !== undefined) this.#welcome(client, upstream, news);
      else this.#news.push([client.id, news]);
    }
  }

  #deltas(upstream: Upstream, answer: Extract<Answer, { type: "deltas" }>): void {
    const { token, writer, after, sequence, deltas } = answer;
    const { at } = upstream;
    // What was on its way when rows were asked for.
    if (!upstream.isLive || at === undefined) return;
    const follows = at.sequence === after && compareTokens(at, answer) === 0;
    if (!follows || !applyDeltas(upstream.rows, deltas)) {
      this.#begin(upstream); // [V8] Something is missing.
      return;
    }
    const batch: Batch = { after, sequence, deltas };
    upstream.at = { token, writer, sequence };
    upstream.history.push(batch);
    if (upstream.history.length > HISTORY_MAX) upstream.history.shift();
    const news: News = { type: "batch", batch, at: upstream.at };
    for (const { id } of upstream.clients) this.#news.push([id, news]);
  }

  #end(upstream: Upstream, refusal: Refusal): void {
    this.#forget(upstream);
    this.#remove(upstream);
    for (const client of upstream.clients) {
      this.#news.push([client.id, { type: "ended", refusal }]);
      this.#clients.delete(client.id);
      this.#newcomers.delete(client);
    }
  }

  #region(name: PeerName): Region {
    assert(name !== "", "an upstream that is answered has a region");
    const known = this.#regions.get(name);
    if (known !== undefined) return known;
    const region: Region = {
      ...{ wanting: new Set(), asked: new Set(), live: new Set(), leaving: [] },
    };
    this.#regions.set(name, region);
    return region;
  }
}

/** [S4] */
function full(of: string): HearsayError {
  return new HearsayError("BUFFER_FULL", `Cannot subscribe: this peer follows ${of}`);
}
