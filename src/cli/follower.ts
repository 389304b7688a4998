/**
 * Keeps up with what one peer says: its allocations and members, from now on.
 *
 * It reads the peer's tables once its event stream is open, and then every event, so it misses nothing
 * in between. When the peer goes away it keeps what was said last and tries again until it is closed.
 */
import type { Member } from "../core/effect.ts";
import { PeerApi, type PeerEvent } from "./peer-api.ts";

/** Wait between two tries to reach a peer, in ms. */
const RETRY_MS = 200;

export class Follower {
  readonly name: string;
  readonly api: PeerApi;
  /** The region of each shard that has one, as this peer says. */
  readonly regions = new Map<string, string>();
  /** The members, as this peer says. */
  readonly members = new Map<string, Member>();
  /** Whether this peer is being heard now. */
  isConnected = false;
  /** When it was last lost, on the monotonic clock. */
  lostAt = 0;
  /** The process that runs the peer, if it says so. */
  pid: number | undefined;
  readonly #closed = new AbortController();
  readonly #onChange: (follower: Follower, event: PeerEvent | undefined) => void;

  /** `onChange` is called after every event, and without one when the peer comes or goes. */
  constructor(
    name: string,
    address: string,
    onChange: (follower: Follower, event: PeerEvent | undefined) => void,
  ) {
    this.name = name;
    this.api = new PeerApi(address);
    this.#onChange = onChange;
    void this.#follow();
  }

  close(): void {
    this.#closed.abort();
    this.api.close();
  }

  /** The shards that a region hosts, as this peer says. */
  shardsOf(region: string): Set<string> {
    const shards = new Set<string>();
    for (const [shard, host] of this.regions) if (host === region) shards.add(shard);
    return shards;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        const events = await this.api.events(signal);
        await this.#read();
        this.isConnected = true;
        this.#onChange(this, undefined);
        for await (const event of events) {
          this.#apply(event);
          this.#onChange(this, event);
        }
      } catch {
        // It is gone, or not there yet: both are seen by the others, and tried again here.
      }
      if (this.isConnected && !signal.aborted) {
        this.isConnected = false;
        this.lostAt = performance.now();
        this.#onChange(this, undefined);
      }
      await pause(RETRY_MS, signal);
    }
  }

  async #read(): Promise<void> {
    const [allocations, members, status] = await Promise.all([
      this.api.ask("GET", "/v1/allocations"),
      this.api.ask("GET", "/v1/members"),
      this.api.ask("GET", "/v1/status"),
    ]);
    this.regions.clear();
    for (const { shard, region } of allocations as { shard: string; region: string }[]) {
      this.regions.set(shard, region);
    }
    this.members.clear();
    for (const member of members as Member[]) this.members.set(member.name, member);
    const { pid } = status as { pid?: unknown };
    this.pid = typeof pid === "number" ? pid : undefined;
  }

  #apply(event: PeerEvent): void {
    if (event.type === "allocation") {
      const { shard, region } = event as unknown as { shard: string; region: string | null };
      if (region) this.regions.set(shard, region);
      else this.regions.delete(shard);
    } else if (event.type === "member") {
      const member = event as unknown as Member;
      this.members.set(member.name, member);
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timeout);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timeout = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
