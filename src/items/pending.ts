/**
 * What was appended to items and is not yet durable in enough copies.
 *
 * Copies take what is appended in order, so a copy that has the count of an append has all before it.
 * Enough is what was asked for, or as many as there are to be, whichever is less: who is alone
 * acknowledges what is durable with it alone.
 *
 * Rules: SPEC.md, Y3.
 */
import type { PeerName } from "../core/units.ts";

interface Append {
  readonly count: number;
  /** Who has it. */
  readonly by: Set<PeerName>;
}

interface Waiting {
  readonly appends: Append[];
  replicas: readonly PeerName[];
}

export class Pending {
  readonly #acks: 1 | 2 | "all";
  readonly #name: PeerName;
  readonly #onAcknowledged: (item: string, count: number) => void;
  readonly #waiting = new Map<string, Waiting>();

  constructor(
    acks: 1 | 2 | "all",
    name: PeerName,
    onAcknowledged: (item: string, count: number) => void,
  ) {
    this.#acks = acks;
    this.#name = name;
    this.#onAcknowledged = onAcknowledged;
  }

  add(item: string, count: number, replicas: readonly PeerName[]): void {
    const waiting = this.#waiting.get(item) ?? { appends: [], replicas };
    waiting.replicas = replicas;
    waiting.appends.push({ count, by: new Set() });
    this.#waiting.set(item, waiting);
  }

  /** A copy has everything up to `count`. */
  stored(item: string, count: number, by: PeerName): void {
    const waiting = this.#waiting.get(item);
    if (waiting === undefined) return;
    for (const append of waiting.appends) {
      if (append.count > count) break;
      append.by.add(by);
    }
    this.judge(item, waiting.replicas);
  }

  /** Looks again, with those who are to have copies by now. */
  judge(item: string, replicas: readonly PeerName[]): void {
    const waiting = this.#waiting.get(item);
    if (waiting === undefined) return;
    waiting.replicas = replicas;
    let acknowledged = -1;
    for (let first = waiting.appends[0]; first !== undefined; first = waiting.appends[0]) {
      if (!this.#isEnough(first.by, replicas)) break;
      acknowledged = first.count;
      waiting.appends.shift();
    }
    if (waiting.appends.length === 0) this.#waiting.delete(item);
    if (acknowledged >= 0) this.#onAcknowledged(item, acknowledged);
  }

  isWaiting(item: string): boolean {
    return this.#waiting.has(item);
  }

  /** What was appended is void. */
  forget(item: string): void {
    this.#waiting.delete(item);
  }

  #isEnough(by: ReadonlySet<PeerName>, replicas: readonly PeerName[]): boolean {
    if (!by.has(this.#name)) return false;
    const others = replicas.filter((peer) => by.has(peer)).length;
    if (this.#acks === "all") return others === replicas.length;
    return others >= Math.min(this.#acks - 1, replicas.length);
  }
}
