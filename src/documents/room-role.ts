/**
 * What a room is to its document: nothing for now, its host, or a follower of the room at the region that is.
 */
import type { PeerName } from "../core/units.ts";

export type Role =
  | { readonly type: "none" }
  | { readonly type: "hosting" }
  | {
      readonly type: "following";
      readonly region: PeerName;
      readonly sub: number;
      isSynced: boolean;
      /** The last update that came, the last edit that was sent, and the last that is durable. */
      received: number;
      sent: number;
      edited: number;
    };
