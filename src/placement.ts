/**
 * The calls about where shards are: allocate, pin, release, plan anew, drain.
 *
 * They are methods of `Peer`, and stand here so that one concept can be read at one go. Each checks its
 * arguments and asks the state machine, which decides. Deliberately absent: deciding anything.
 *
 * Rules: SPEC.md, A1 to A5.
 */
import type { Move, Pin } from "./core/allocation.ts";
import type { Allocation } from "./core/effect.ts";
import type { CallRequest } from "./core/event.ts";
import { SHARDS_MAX } from "./core/limits.ts";
import { isMovesMax } from "./core/plan-settings.ts";
import type { Released } from "./core/shard-state.ts";
import type { PeerName, ShardId } from "./core/units.ts";
import type { View } from "./core/view.ts";
import type { RebalanceOptions } from "./io/served-peer.ts";
import { checkName } from "./peer-arguments.ts";

/** What a peer can be asked about the places of shards. */
export abstract class Placement {
  abstract readonly name: PeerName;

  /** Asks the state machine. @internal */
  protected abstract request(request: CallRequest, signal?: AbortSignal): Promise<unknown>;

  /** The view as it is. Throws when there is none, and says what it was wanted for. @internal */
  protected abstract viewFor(action: string): View;

  /**
   * Gives `shard` to `region`: until the next plan, or with `pin` for as long as the region lives. Resolves
   * when that is durable and readable here; others hear of it at once. Rejects with `SHARD_NOT_FOUND`,
   * `REGION_NOT_FOUND`, `REGION_NOT_ALIVE`, `NOT_READY`, `CLOCK_DRIFT` or `BUFFER_FULL`.
   */
  async allocate(
    shard: ShardId,
    region: PeerName,
    { pin = false }: { readonly pin?: boolean } = {},
  ): Promise<Allocation> {
    checkName("allocate", "shard", shard);
    checkName("allocate", "region", region);
    if (typeof pin !== "boolean") throw new TypeError("Cannot allocate: pin is not true or false");
    return (await this.request({ type: "allocate", shard, region, pin })) as Allocation;
  }

  /**
   * Takes `shard` from its region, and its pin with it. The regions plan a new one for it at once. Rejects
   * like `allocate`.
   */
  async release(shard: ShardId): Promise<Released> {
    checkName("release", "shard", shard);
    return (await this.request({ type: "release", shard })) as Released;
  }

  /**
   * Makes the regions plan anew, which takes back what was allocated by hand without a pin; resolves to the
   * moves that are to be made. A dry run only says which. Rejects with `BAD_REQUEST` for a strategy that
   * this peer does not know or that fails, or like `allocate`; then everything stays as it is.
   */
  async rebalance({ dryRun = false, strategy, movesMax }: RebalanceOptions = {}): Promise<Move[]> {
    if (typeof dryRun !== "boolean") {
      throw new TypeError("Cannot rebalance: dryRun is not true or false");
    }
    if (strategy !== undefined) checkName("rebalance", "strategy", strategy);
    if (movesMax !== undefined && !isMovesMax(movesMax)) {
      throw new RangeError(`Cannot rebalance: movesMax is not null or 0 to ${SHARDS_MAX}`);
    }
    const settings = {
      ...(strategy !== undefined && { strategy }),
      ...(movesMax !== undefined && { movesMax }),
    };
    return (await this.request({ type: "rebalance", dryRun, ...settings })) as Move[];
  }

  /**
   * Makes a region, by default this one, give all its shards to others and take none; with `undo`, take
   * some again. It lasts until the region is restarted. Rejects with `REGION_NOT_FOUND`,
   * `REGION_NOT_ALIVE`, or `UNREACHABLE` or `TIMEOUT` when the region does not answer.
   */
  async drain(
    region: PeerName = this.name,
    { undo = false }: { readonly undo?: boolean } = {},
  ): Promise<void> {
    checkName("drain", "region", region);
    if (typeof undo !== "boolean") throw new TypeError("Cannot drain: undo is not true or false");
    await this.request({ type: "drain", region, draining: !undo });
  }

  /** The pins, by shard. One whose region cannot take the shard does not count meanwhile. */
  pins(): Pin[] {
    return this.viewFor("list pins").pins();
  }
}
