/**
 * Which rules a run can break, what each means, and when a run has looked at it at all.
 *
 * A rule that nothing tested is not a rule that held: pages and summaries say so. The rules themselves
 * are in SPEC.md; `digest` and `crash` are those of the simulator and of the program as such.
 */
import { ERA_MS_MIN, type WorkloadKind } from "./options.ts";
import type { DetailedReport } from "./simulation.ts";

/** A report, and whether the run was repeated to see that it comes out the same. */
export interface CheckedReport extends DetailedReport {
  readonly isRepeated: boolean;
}

export interface Rule {
  readonly meaning: string;
  /** Why a run did not look at it; undefined when it did. */
  readonly unchecked: (report: CheckedReport) => string | undefined;
}

const always = (): undefined => undefined;

const whenSettled = ({ options, core, convergenceMs }: DetailedReport): string | undefined => {
  if (core.length === 0) return "the run did not get there";
  if (core.length < options.peers) return "only some peers were healed";
  return convergenceMs === null ? "the peers never settled" : undefined;
};

const whenIdle = (report: DetailedReport): string | undefined => {
  const isShort = report.options.eraMs < ERA_MS_MIN;
  return whenSettled(report) ?? (isShort ? "eras were too short for a rest" : undefined);
};

/** The links of an overlay are looked at where only some peers were healed, too. */
const whenLinked = (report: DetailedReport): string | undefined => {
  const { options, core, convergenceMs } = report;
  if (core.length === 0 || options.peers <= options.meshMax) return whenSettled(report);
  return convergenceMs === null ? "the peers never settled" : undefined;
};

const whenHealed = ({ options, core }: DetailedReport): string | undefined => {
  if (core.length === 0) return "the run did not get there";
  return core.length < options.peers ? "only some peers were healed" : undefined;
};

const whenSome = ({ options, core }: DetailedReport): string | undefined => {
  if (core.length === 0) return "the run did not get there";
  return core.length < options.peers ? undefined : "all peers were healed";
};

const whenHosted = ({ options }: DetailedReport): string | undefined =>
  options.hosts && options.workload.includes("ask") ? undefined : "nobody was asked";

const whenServed = (report: DetailedReport): string | undefined =>
  report.options.hosts ? whenSettled(report) : "nobody hosted anything";

const whenFollowed = (report: DetailedReport): string | undefined => {
  const { hosts, workload } = report.options;
  return hosts && workload.includes("live") ? undefined : "nothing was followed";
};

const whenFollowedOn = (report: DetailedReport): string | undefined =>
  whenFollowed(report) ?? whenSettled(report);

const whenEdited = (report: DetailedReport): string | undefined => {
  const { hosts, workload } = report.options;
  return hosts && workload.includes("documents") ? whenSettled(report) : "nothing was edited";
};

const whenStruck =
  (kind: string) =>
  ({ faults }: DetailedReport): string | undefined =>
    faults[kind] === undefined ? `no ${kind} came` : undefined;

const withWorkload =
  (kind: WorkloadKind) =>
  (report: DetailedReport): string | undefined =>
    report.options.workload.includes(kind) ? whenSettled(report) : `nobody did anything of ${kind}`;

const whenPublished = ({ options }: DetailedReport): string | undefined =>
  options.workload.includes("frequencies") ? undefined : "nothing was published";

const whenRepublished = (report: DetailedReport): string | undefined =>
  whenPublished(report) ?? whenSettled(report);

/** By id, in the order in which people read them. */
export const RULES: Readonly<Record<string, Rule>> = {
  I1: rule("The winning entry of a key never gets lower at one peer"),
  I2: rule("What a peer issues only grows, across its restarts"),
  I3: rule("One stamp names one write of one key"),
  I4: rule("No merge takes a hybrid clock further ahead of its wall than it may"),
  I5: rule("A local write is readable locally at once, and supersedes what it overwrote"),
  I6: rule("Every peer has the maximum of all that any has held", whenSettled),
  I8: rule("Fingerprints are equal exactly when tables are"),
  I9: rule("A region is a known member, and one fencing token is given to one region"),
  I10: rule("Equal views give equal routes"),
  I12: rule("No phase is over before every participant has completed it", withWorkload("ticks")),
  I13: rule("A complete answer is the sum of one publication of each shard", whenPublished),
  I14: rule("No acknowledged edit is missing, and all copies are equal", whenEdited),
  I15: rule("Hostile input changes no state", whenStruck("hostile")),
  I16: rule("Nothing of another cluster gets in", whenStruck("stranger")),
  I17: rule("A restart on its disk forgets nothing that was acknowledged", whenSettled),
  A0: rule("Founders have waited, and who joins knows what the members know"),
  A1: rule("A call is refused only for a reason that a user may get"),
  A2: rule("Regions give shards only to those that live"),
  A3: rule("Regions take shards only from those that are gone"),
  A5: rule("A table at rest is one that no plan would change"),
  F7: rule("Two processes of one name do not both serve for long", whenStruck("clone")),
  F9: rule("Of the sides of a partition one goes on at the most, and only that one allocates"),
  M5: rule("Eras come one after another, and keep nothing that is older than their cut"),
  A7: rule("A region handles nothing of a shard that is another's", whenHosted),
  A9: rule("A peer that was paused serves nothing before an exchange", whenHosted),
  H2: rule("What a host gives away is what the next one gets", whenHosted),
  H3: rule("Messages come in order, and every sender is told", whenHosted),
  H4: rule("Every shard is served in the end", whenHosted),
  H7: rule("Who serves in the end has the highest token that a host was told", whenServed),
  I11: rule("A message is handled once, or its sender knows no better", whenHosted),
  R1: rule("Documents are routed to registered shards only", ({ options }) =>
    options.workload.includes("route") ? undefined : "nothing was routed",
  ),
  R6: rule("A shard that was removed never comes back", withWorkload("registry")),
  B2: rule("A participant is done when its row says so", withWorkload("ticks")),
  B7: rule("All see ticks complete in the same order", withWorkload("ticks")),
  D1: rule("What a shard's region published last is what counts", whenRepublished),
  D2: rule("Equal replicas give equal frequencies", whenRepublished),
  D4: rule("What was published and reached a peer is not missing there", whenRepublished),
  V2: rule(
    "A window has the rows of its query, in order, and no more than its limit",
    whenFollowed,
  ),
  V3: rule("Deltas lead from one window to the next", whenFollowed),
  V6: rule("Under one token the versions of a row only grow", whenFollowed),
  V8: rule("Nothing is missing between two windows, and tokens only grow", whenFollowed),
  V10: rule("Every window is right once all has healed", whenFollowedOn),
  V13: rule("No acknowledged write is missing once all has healed", whenFollowedOn),
  P2: rule("Every call is answered", whenSettled),
  G1: rule("Nobody has of a peer what is not durable there, and calm peers are told in time"),
  G4: rule("An exchange that has ended leaves nothing behind"),
  G7: rule("Every peer has one link to every other, or those of its overlay", whenLinked),
  F2: rule("Only who was silent for long is suspected"),
  F3: rule("Nobody is suspected whom another one hears"),
  F5: rule(
    "Who was suspected wrongly is suspected later the next time, and refusals are no partition",
  ),
  S8: rule("A row that its subject did not write is written anew", whenStruck("hostile")),
  L1: rule("All peers are equal in time, and every shard is at a region that lives", whenHealed),
  L3: rule(
    "So it is for a core that alone was healed, with the others in trouble for ever",
    whenSome,
  ),
  L4: rule("No region gives a shard away again and again"),
  L5: rule("Ticks go on", withWorkload("ticks")),
  L7: rule("Nobody who lives and can be reached is dead to anybody for long"),
  L8: rule("Everybody who is dead or hangs is dead to all who go on"),
  U1: rule("An idle cluster sends few bytes", whenIdle),
  U2: rule("One change takes few frames", whenIdle),
  U3: rule("Links and queues have caps"),
  digest: rule("The same seed gives the same run", ({ isRepeated }) =>
    isRepeated ? undefined : "the seed was run once",
  ),
  crash: rule("No assertion of the program fails"),
};

function rule(meaning: string, unchecked: Rule["unchecked"] = always): Rule {
  return { meaning, unchecked };
}
