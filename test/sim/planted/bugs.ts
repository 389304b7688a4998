/**
 * Bugs that the simulator must find: each is a line of the core that somebody might get wrong.
 *
 * Each has a request of its own - the faults that it takes, few peers, short runs - so that few seeds
 * suffice; everything else is drawn from the seed. The number of seeds is about ten times what is
 * usually needed: of a hundred thousand changes to the core that shuffle all runs, one would make a
 * test fail for no reason. A request says nothing of when and where a fault strikes.
 */
import type { PlantedBug } from "./bug.ts";
import { ALLOCATION_BUGS, MEMBERSHIP_BUGS } from "./cluster-bugs.ts";
import { COORDINATION_BUGS } from "./coordination-bugs.ts";
import { DOCUMENT_BUGS } from "./document-bugs.ts";
import { CLOCK_BUGS, GOSSIP_BUGS, MAP_BUGS } from "./entry-bugs.ts";
import { ERA_BUGS } from "./era-bugs.ts";
import { FREQUENCY_BUGS } from "./frequency-bugs.ts";
import { HOSTING_BUGS } from "./hosting-bugs.ts";
import { LIVE_BUGS } from "./live-bugs.ts";
import { OVERLAY_BUGS } from "./overlay-bugs.ts";

export const BUGS: readonly PlantedBug[] = [
  ...CLOCK_BUGS,
  ...MAP_BUGS,
  ...GOSSIP_BUGS,
  ...OVERLAY_BUGS,
  ...MEMBERSHIP_BUGS,
  ...ALLOCATION_BUGS,
  ...ERA_BUGS,
  ...COORDINATION_BUGS,
  ...FREQUENCY_BUGS,
  ...HOSTING_BUGS,
  ...LIVE_BUGS,
  ...DOCUMENT_BUGS,
];
