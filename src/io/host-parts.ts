/**
 * Several hosts of one region as one: the built-in services, and the user's own.
 *
 * All of them serve the same shards. Each is told of every shard that the region takes and gives away,
 * and may give and take state: a chunk says whose it is. A message goes to one of them. Messages for
 * services name it by their entity, `"\0" + service`, which no user can; all others are the user's.
 *
 * A host may come after shards were taken, as the user's does when services are there: it is told of
 * those first, and its messages wait for that. A host that could not take a shard is told again: by the
 * state machine, which lets no message come meanwhile, or here if it came late. The others have the
 * shard all the same.
 *
 * Rules: SPEC.md, H2 and N4.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { HostTraits } from "../core/host-task.ts";
import type { ShardId } from "../core/units.ts";
import { SERVICE_ENTITY } from "../core/work.ts";
import type { Body } from "../wire/body.ts";
import type {
  AcquireContext,
  EntityContext,
  ImportContext,
  MessageContext,
  RunnableHost,
} from "./host-runner.ts";

/** Under which the user's own host is known. */
const USER = "";

/** How long a host that came late and could not take a shard is left alone, in ms. */
const ACQUIRE_AGAIN_MS = 1000;

interface Part {
  readonly host: RunnableHost;
  readonly traits: HostTraits;
  /** The shards that it has, and those that it takes late. */
  readonly has: Set<ShardId>;
  readonly late: Map<ShardId, Promise<void>>;
}

export class HostParts implements RunnableHost {
  readonly #parts = new Map<string, Part>();
  /** The shards that the region has, and what hosts were told of them. */
  readonly #held = new Map<ShardId, AcquireContext>();
  readonly #onLateFailure: (shard: ShardId, error: unknown) => void;

  constructor(onLateFailure: (shard: ShardId, error: unknown) => void) {
    this.#onLateFailure = onLateFailure;
  }

  /** Adds the host of a service, or of the user where there is no name. Each once. */
  add(host: RunnableHost, traits: HostTraits, service: string = USER): void {
    const part: Part = { host, traits, has: new Set(), late: new Map() };
    this.#parts.set(service, part);
    for (const [shard, context] of this.#held) {
      part.late.set(shard, this.#acquireLate(part, shard, context));
    }
  }

  /** What they can do together. What concerns entities is the user's affair. */
  get traits(): HostTraits {
    const all = [...this.#parts.values()].map(({ traits }) => traits);
    const { remembers = false, passivateAfterMs = Number.POSITIVE_INFINITY } =
      this.#parts.get(USER)?.traits ?? {};
    return {
      exports: all.some(({ exports }) => exports),
      imports: all.some(({ imports }) => imports),
      ...{ remembers, passivateAfterMs },
    };
  }

  async onAcquire(shard: ShardId, context: AcquireContext): Promise<void> {
    this.#held.set(shard, context);
    const failures: unknown[] = [];
    await this.#each(async (part) => {
      if (part.has.has(shard) || part.late.has(shard)) return; // The one that failed is told again.
      try {
        await part.host.onAcquire(shard, context);
        part.has.add(shard);
      } catch (error) {
        failures.push(error);
      }
    });
    if (failures.length > 0) throw failures[0];
  }

  /** [H7] Who has the shard hears of its token; who is yet to take it, takes it under that one. */
  async onRenew(shard: ShardId, context: AcquireContext): Promise<void> {
    const held = this.#held.get(shard);
    if (held === undefined) return;
    this.#held.set(shard, { ...held, token: context.token, writer: context.writer });
    await this.#each(async ({ host, has }) => {
      if (has.has(shard)) await host.onRenew?.(shard, context);
    });
  }

  async onRelease(shard: ShardId): Promise<void> {
    this.#held.delete(shard);
    const failures: unknown[] = [];
    await this.#each(async (part) => {
      await part.late.get(shard)?.catch(() => {});
      part.late.delete(shard);
      part.has.delete(shard);
      try {
        await part.host.onRelease(shard);
      } catch (error) {
        failures.push(error);
      }
    });
    if (failures.length > 0) throw failures[0];
  }

  async onMessage(message: Body, context: MessageContext): Promise<unknown> {
    const { shard, entity = "" } = context;
    const service = entity.startsWith(SERVICE_ENTITY) ? entity.slice(1) : USER;
    const part = this.#parts.get(service);
    if (part === undefined) {
      throw new Error(service === USER ? "This region has no host" : "It has no such service");
    }
    await part.late.get(shard);
    return part.host.onMessage(message, context);
  }

  async onPassivate(entity: string, context: EntityContext): Promise<void> {
    await this.#parts.get(USER)?.host.onPassivate?.(entity, context);
  }

  /** First who gives anything, then the chunks of one after the other, each with whose it is. */
  async *exportState(shard: ShardId): AsyncGenerator<Body> {
    const givers = [...this.#parts].filter(([, { traits }]) => traits.exports);
    yield givers.map(([service]) => service);
    for (const [service, { host }] of givers) {
      for await (const chunk of host.exportState?.(shard) ?? []) yield [service, chunk];
    }
  }

  async importState(
    shard: ShardId,
    chunks: AsyncIterable<Body>,
    context: ImportContext,
  ): Promise<void> {
    const source = chunks[Symbol.asyncIterator]();
    const first = await source.next();
    const givers = new Set(first.done === true ? [] : (first.value as readonly string[]));
    let next = await source.next();
    for (const service of givers) {
      const isIts = (): boolean => next.done !== true && (next.value as Body[])[0] === service;
      const own = async function* (): AsyncGenerator<Body> {
        while (isIts()) {
          yield (next.value as Body[])[1];
          next = await source.next();
        }
      };
      const taking = this.#parts.get(service)?.host;
      if (taking?.importState === undefined) for await (const _ of own());
      else await taking.importState(shard, own(), context);
      if (isIts()) throw new Error("It did not take all of the state");
    }
    if (next.done !== true) throw new Error("There is state of nobody");
  }

  /** One does not wait for another. */
  async #each(run: (part: Part) => Promise<void>): Promise<void> {
    await Promise.all([...this.#parts.values()].map(run));
  }

  async #acquireLate(part: Part, shard: ShardId, first: AcquireContext): Promise<void> {
    for (
      let context: AcquireContext | undefined = first;
      context !== undefined;
      context = this.#held.get(shard)
    ) {
      try {
        await undefined;
        await part.host.onAcquire(shard, context);
        part.has.add(shard);
        part.late.delete(shard);
        return;
      } catch (error) {
        this.#onLateFailure(shard, error);
        await sleep(ACQUIRE_AGAIN_MS, undefined, { ref: false });
      }
    }
  }
}
