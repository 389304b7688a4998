/**
 * What the services of a peer are told of their posts (`posts.ts`).
 */
import type { PeerName } from "./units.ts";

/** What the services of a peer are told. */
export type Delivery =
  | {
      readonly type: "post";
      readonly from: PeerName;
      readonly service: string;
      readonly body: Uint8Array;
    }
  /** Posts to this peer are taken, after they were not. */
  | { readonly type: "open"; readonly peer: PeerName }
  /** The conversation with this peer has ended: what was on its way, either way, may be lost. */
  | { readonly type: "lost"; readonly peer: PeerName };
