/**
 * A peer with a disk that is killed again and again while it is written to: what it had acknowledged it still
 * knows, and what it knows was asked of it.
 *
 * Each shard has a number that only grows, in its document frequencies: nobody but the writer writes these, so
 * a number that is lost is seen. Tokens would not do, since a peer writes its allocations anew at its start.
 */
import { expect } from "vitest";
import { type Client, connect } from "../../src/client.ts";
import type { Random } from "../../src/core/random.ts";
import { freePorts, type Processes } from "./processes.ts";

const WRITERS = 16;

/** Acknowledged writes after which a peer is killed, at most. */
const ACKS_MAX = 400;

/** What one writer has asked for, and what of it was acknowledged. */
interface Ledger {
  sent: number;
  acknowledged: number;
}

/** The numbers of the writers, and the shards that were registered. */
export class Ledgers {
  readonly #numbers = Array.from({ length: WRITERS }, (): Ledger => ({ sent: 0, acknowledged: 0 }));
  readonly #registered = new Set<string>();
  #count = 0;

  /** How many writes were acknowledged. */
  get acknowledged(): number {
    return this.#count;
  }

  /**
   * Writes from all sides until the connection ends, which it must. `onAcknowledged` is told how many
   * writes of this call have been.
   */
  async write(client: Client, onAcknowledged: (count: number) => void): Promise<void> {
    let count = 0;
    const note = (): void => {
      count += 1;
      this.#count += 1;
      onAcknowledged(count);
    };
    const writing = this.#numbers.map(async (ledger, index) => {
      for (;;) {
        ledger.sent += 1;
        const number = ledger.sent;
        const terms = new Map([[`term-${index}`, number]]);
        await client.publishFrequencies(`shard-${index}`, { documents: number, terms });
        ledger.acknowledged = number;
        note();
      }
    });
    const registering = (async () => {
      for (let index = 0; index < 3; index += 1) {
        const key = `key-${this.#registered.size}-${this.#count}`;
        this.#registered.add(await client.registerShard({ key }));
        note();
      }
    })();
    await Promise.allSettled([...writing, registering]);
  }

  /** What was acknowledged is there, and nothing that nobody asked for. */
  async compare(client: Client): Promise<void> {
    const { frequencies } = await client.globalDf(this.#numbers.map((_, n) => `term-${n}`));
    this.#numbers.forEach((ledger, index) => {
      const found = frequencies.get(`term-${index}`) ?? 0;
      const what = `the last number of shard-${index}`;
      expect(found, what).toBeGreaterThanOrEqual(ledger.acknowledged);
      expect(found, what).toBeLessThanOrEqual(ledger.sent);
      ledger.sent = found;
      ledger.acknowledged = found;
    });
    const shards = new Set((await client.shards()).map(({ shard }) => shard));
    for (const shard of this.#registered) expect(shards).toContain(shard);
  }
}

export interface Kills {
  readonly processes: Processes;
  /** The data directory. */
  readonly directory: string;
  readonly rounds: number;
  readonly random: Random;
}

/** Returns how many writes were acknowledged in all. */
export async function killInALoop({
  processes,
  directory,
  rounds,
  random,
}: Kills): Promise<number> {
  const [port] = (await freePorts(1)) as [number];
  const address = `127.0.0.1:${port}`;
  const flags = ["--name", "only", "--listen", address, "--data", directory, "--shards", "16"];
  const ledgers = new Ledgers();
  for (let round = 0; ; round += 1) {
    const peer = await processes.peer([...flags, "--timings", "local"]).ready();
    const client = await connect(address);
    await ledgers.compare(client);
    if (round === rounds) break;
    const acknowledgedMax = 1 + random.below(ACKS_MAX);
    const writing = ledgers.write(client, (count) => {
      if (count === acknowledgedMax) peer.child.kill("SIGKILL");
    });
    await peer.ended;
    client.close();
    await writing;
  }
  return ledgers.acknowledged;
}
