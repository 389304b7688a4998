/**
 * Watches a whole local cluster from outside, and says what happens to it.
 *
 * All that it says was said by peers: it follows the event stream of each one, and a peer's shards
 * count as served again once every survivor's table has all of them in regions that live. The time is
 * taken from the moment that the operating system reports the end of the process.
 */
import type { DevRow } from "./dev-table.ts";
import { Follower } from "./follower.ts";
import type { Placement } from "./placement.ts";

/** How long nothing may change before the table is worth a report, in ms. */
const SETTLE_MS = 300;

/** How long after a death its shards are waited for before that is said, in ms. */
const SERVED_TIMEOUT_MS = 10_000;

/** How a peer ended: killed or failed, or with a goodbye. */
export type LossKind = "killed" | "failed" | "left";

/** What an observer says. */
export type Observation =
  | { readonly event: "table"; readonly peers: readonly DevRow[] }
  | {
      readonly event: "died";
      readonly name: string;
      readonly pid: number | null;
      readonly how: LossKind;
      readonly shards: number;
      readonly documents: number;
      /** Null while the shards are not served yet; then the same follows with a number. */
      readonly servedAfterMs: number | null;
    }
  | {
      readonly event: "returned";
      readonly name: string;
      readonly shards: number;
      readonly documents: number;
      readonly afterMs: number;
    };

interface Loss {
  readonly name: string;
  readonly pid: number | null;
  readonly how: LossKind;
  readonly at: number;
  readonly incarnation: string | undefined;
  readonly shards: ReadonlySet<string>;
  state: "waiting" | "late" | "served";
  /** When it was seen alive again. */
  returnedAt: number | undefined;
}

export interface ObserverOptions {
  /** The peers that are there from the start. */
  readonly peers: readonly { readonly name: string; readonly address: string }[];
  /** The processes that still run, by name of their peer. */
  readonly pids: ReadonlyMap<string, number>;
  readonly shardCount: number;
  readonly report: (observation: Observation) => void;
}

export class Observer {
  readonly #options: ObserverOptions;
  readonly #followers = new Map<string, Follower>();
  /** The peers that are gone, or are back and have not got their share yet. */
  readonly #losses = new Map<string, Loss>();
  /** What each region hosted when the table last stood still. */
  #settled = new Map<string, ReadonlySet<string>>();
  #placement: Placement | undefined;
  #reported = "";
  #isClosed = false;
  #settling: NodeJS.Timeout | undefined;
  #onChanged: () => void = () => {};

  constructor(options: ObserverOptions) {
    this.#options = options;
    for (const { name, address } of options.peers) this.#follow(name, address);
  }

  /** Resolves when every peer is followed and says that every peer has its share. */
  async balanced(): Promise<void> {
    while (![...this.#followers.values()].every((follower) => this.#isBalanced(follower))) {
      await new Promise<void>((resolve) => {
        this.#onChanged = resolve;
      });
    }
  }

  /** The followers of peers that live, the longest known first. */
  get living(): Follower[] {
    return [...this.#followers.values()].filter(
      ({ name, isConnected }) => isConnected && !this.#isGone(name),
    );
  }

  /** Counts documents from now on. */
  place(placement: Placement): void {
    this.#placement = placement;
    this.#changed();
  }

  /** The table as it is now, as the first living peer sees it. */
  rows(): DevRow[] {
    const [viewer] = this.living;
    const names = new Set([...this.#followers.keys(), ...(viewer?.members.keys() ?? [])]);
    return [...names].map((name) => {
      const follower = this.#followers.get(name);
      const shards = viewer?.shardsOf(name) ?? new Set<string>();
      return {
        name,
        pid: this.#options.pids.get(name) ?? (follower?.isConnected ? follower.pid : null) ?? null,
        address: viewer?.members.get(name)?.address ?? follower?.api.address ?? "",
        status: viewer?.members.get(name)?.status ?? (follower?.isConnected ? "alive" : "gone"),
        shards: shards.size,
        documents: this.#placement?.countOf(shards) ?? 0,
      };
    });
  }

  /** A process has ended. Its shards are those that it said it hosted, or had before it said goodbye. */
  died(name: string, pid: number | null, how: LossKind, at: number): void {
    if (this.#isClosed) return;
    const follower = this.#followers.get(name);
    const own = follower?.shardsOf(name);
    const shards = (how === "left" ? this.#settled.get(name) : own) ?? own ?? new Set<string>();
    const incarnation = follower?.members.get(name)?.incarnation;
    const loss: Loss = {
      ...{ name, pid, how, at, incarnation, shards },
      state: "waiting",
      returnedAt: undefined,
    };
    this.#losses.set(name, loss);
    setTimeout(() => this.#late(loss), SERVED_TIMEOUT_MS).unref();
    this.#changed();
  }

  /** Says nothing any more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#settling);
    for (const follower of this.#followers.values()) follower.close();
  }

  #follow(name: string, address: string): void {
    this.#followers.set(name, new Follower(name, address, () => this.#changed()));
  }

  #isGone(name: string): boolean {
    const loss = this.#losses.get(name);
    return loss !== undefined && loss.returnedAt === undefined;
  }

  #isBalanced(follower: Follower): boolean {
    const names = [...this.#followers.keys()];
    const share = Math.floor(this.#options.shardCount / names.length);
    return follower.isConnected && names.every((name) => follower.shardsOf(name).size >= share);
  }

  #changed(): void {
    this.#onChanged();
    this.#findStrangers();
    for (const loss of this.#losses.values()) {
      if (loss.state !== "served") this.#checkServed(loss);
      this.#checkReturned(loss);
    }
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#settle(), SETTLE_MS);
  }

  /** Peers that somebody started by hand, and the end of those, which no child process reports. */
  #findStrangers(): void {
    const [viewer] = this.living;
    for (const { name, address, status } of viewer?.members.values() ?? []) {
      const follower = this.#followers.get(name);
      if (follower === undefined) {
        if (status === "alive") this.#follow(name, address);
      } else if (!follower.isConnected && !this.#isGone(name) && !this.#options.pids.has(name)) {
        if (status === "left" || status === "dead") {
          this.died(name, null, status === "left" ? "left" : "killed", follower.lostAt);
        }
      }
    }
  }

  #checkServed(loss: Loss): void {
    const survivors = this.living.filter(({ name }) => name !== loss.name);
    const isServed = (shard: string, { regions }: Follower): boolean => {
      const region = regions.get(shard);
      return region !== undefined && region !== loss.name && !this.#isGone(region);
    };
    const shards = [...loss.shards];
    const [survivor] = survivors;
    if (survivor === undefined) return;
    if (!survivors.every((each) => shards.every((shard) => isServed(shard, each)))) return;
    loss.state = "served";
    const servedAfterMs = Math.max(0, Math.round(performance.now() - loss.at));
    void this.#reportServed(loss, survivor, servedAfterMs);
  }

  /** Documents are counted by asking a survivor where they are. */
  async #reportServed(loss: Loss, survivor: Follower, servedAfterMs: number): Promise<void> {
    const expected = this.#placement?.documentsOf(loss.shards) ?? [];
    const routes = await survivor.api.route(expected).catch(() => []);
    const served = routes.filter(({ region }) => region !== null && !this.#isGone(region));
    this.#reportLoss(loss, served.length, servedAfterMs);
  }

  #late(loss: Loss): void {
    if (loss.state !== "waiting") return;
    loss.state = "late";
    this.#reportLoss(loss, this.#placement?.countOf(loss.shards) ?? 0, null);
  }

  #reportLoss(loss: Loss, documents: number, servedAfterMs: number | null): void {
    const { name, pid, how, shards } = loss;
    const counts = { shards: shards.size, documents };
    this.#options.report({ event: "died", name, pid, how, ...counts, servedAfterMs });
  }

  /** A peer is back once another life of its name is alive, and settled once it has its share. */
  #checkReturned(loss: Loss): void {
    const [viewer] = this.living;
    const member = viewer?.members.get(loss.name);
    if (viewer === undefined || member === undefined) return;
    const isBack = member.status === "alive" && member.incarnation !== loss.incarnation;
    if (!isBack || !this.#followers.get(loss.name)?.isConnected) return;
    loss.returnedAt ??= performance.now();
    const alive = [...viewer.members.values()].filter(({ status }) => status === "alive").length;
    const shards = viewer.shardsOf(loss.name);
    if (shards.size < Math.floor(this.#options.shardCount / alive)) return;
    this.#losses.delete(loss.name);
    this.#options.report({
      event: "returned",
      name: loss.name,
      shards: shards.size,
      documents: this.#placement?.countOf(shards) ?? 0,
      afterMs: Math.round(performance.now() - loss.returnedAt),
    });
  }

  #settle(): void {
    const peers = this.rows();
    const [viewer] = this.living;
    if (viewer !== undefined) {
      this.#settled = new Map(peers.map(({ name }) => [name, viewer.shardsOf(name)]));
    }
    const text = JSON.stringify(peers);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#options.report({ event: "table", peers });
  }
}
