/**
 * Where the rows of a region's shards are: in the peers (`row-keeper.ts`), or at a source of the user's
 * (`source-reader.ts`).
 */
import type { ErrorCode } from "../../core/error.ts";
import type { FencingToken } from "../../core/token.ts";
import type { ShardId } from "../../core/units.ts";
import type { RegionRead } from "../region.ts";
import type { Answered, RowWrite } from "../replicated-rows.ts";
import type { RowChange } from "../row.ts";
import type { ReadResult } from "../view.ts";

export interface RegionRows {
  /** Whether another read may be begun. */
  readonly canRead: boolean;
  /** Begins a read; its end is told, at once or later. */
  read(read: RegionRead): void;
  write(shard: ShardId, write: RowWrite, answered: Answered): void;
  /** Members or allocations have changed. */
  viewChanged(): void;
  close(): void;
}

/** What they tell. */
export interface RegionRowsHooks {
  /** The shard can be read from now on; whoever follows it has to ask again. */
  serving(shard: ShardId, token: FencingToken, position: number): void;
  changed(shard: ShardId, change: RowChange): void;
  wasRead(read: RegionRead, result: ReadResult): void;
  /** A read has come to nothing, and is not to be made again. */
  refused(read: RegionRead, code: ErrorCode, reason: string): void;
}

/** What a source wants to know and say beside that. */
export interface SourceHooks extends RegionRowsHooks {
  /** Changes of the shard are told behind this position. */
  startAt(shard: ShardId, position: number): void;
  positionOf(shard: ShardId): number;
  /** Whether anybody still wants what would be read. */
  isWanted(read: RegionRead): boolean;
  /** How many views a shard has. */
  viewsOf(shard: ShardId): number;
}
