/**
 * Where messages for the shards of this region come in, and their answers go out.
 *
 * A message is taken when this region serves the shard, under the allocation that it was routed by or a
 * newer one [A8]. Otherwise it is refused, which says that it was not handled: with the newer allocation
 * if this region knows one, and after starting an exchange where the other end knows more.
 *
 * Order
 *
 * A router that hears of a refusal sends the message again, and by then others of the same shard may be
 * on their way. So what was sent before the router had heard of it (`since`) is refused, too, whatever
 * has changed meanwhile: a message is never handled before one that was sent earlier and refused.
 *
 * A link delivers in order, so its asks only grow: one that does not has come twice, and is dropped.
 *
 * Rules: SPEC.md, A7, A8, H2, H3 and S4.
 */
import { Answers } from "./answers.ts";
import type { ErrorCode } from "./error.ts";
import type { Link } from "./link.ts";
import { compareStamps } from "./lww-map.ts";
import type { Answer, Ask } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Incarnation, LinkId, ShardId } from "./units.ts";
import { ALLOCATIONS } from "./view.ts";
import { OWN_LINK, Work, type WorkHooks, type WorkItem } from "./work.ts";

export type AnswerOutcome = Answer["outcome"];

export interface ReceptionHooks extends WorkHooks {
  /** Whether this region serves the shard now, or has begun to take it. */
  takes(shard: ShardId): boolean;
  /** The other end of a link knows what this one does not. */
  synchronise(link: Link): void;
  /** An ask of this peer's own users has ended. */
  answeredHere(ask: number, outcome: AnswerOutcome): void;
}

export class Reception {
  readonly work: Work;
  readonly #state: PeerState;
  readonly #hooks: ReceptionHooks;
  readonly #answers: Answers;
  /** The highest ask that came over each link. */
  readonly #last = new Map<LinkId, number>();
  /** By link and shard: the last ask that was refused. */
  readonly #refused = new Map<LinkId, Map<ShardId, number>>();

  constructor(state: PeerState, hooks: ReceptionHooks) {
    this.#state = state;
    this.#hooks = hooks;
    this.#answers = new Answers(state);
    this.work = new Work(hooks);
  }

  /** A message by another peer's router. */
  asked(link: Link, ask: Ask): void {
    if (link.isGivenUp) return; // [H3] The end of the link says so.
    link.isWantedThere = true; // [G7] Whoever asks waits for the answer.
    if (ask.ask <= (this.#last.get(link.id) ?? 0)) return; // [H3] It has come twice.
    this.#last.set(link.id, ask.ask);
    this.#receive(ask, itemOf(ask, link.id, link.remote, this.#state.now), link);
  }

  /** A message by this peer's own router. */
  askedHere(ask: Ask): void {
    const { options, now } = this.#state;
    this.#receive(ask, itemOf(ask, OWN_LINK, options, now), undefined);
  }

  /** Answers a message that was taken. */
  answer(item: WorkItem, outcome: AnswerOutcome): void {
    if (item.link === OWN_LINK) this.#hooks.answeredHere(item.ask, outcome);
    else {
      const answer = { type: "answer" as const, ask: item.ask, outcome };
      this.#answers.send(item.link, item.incarnation, answer);
    }
  }

  /** Says of messages that they were not handled, and may be sent again. */
  refuse(items: readonly WorkItem[], code: ErrorCode, message: string): void {
    for (const item of items) this.#refuse(item, code, message);
  }

  /** A link has ended. `lost`: the life of a peer that waits for nothing over it any more. */
  linkClosed(link: LinkId, lost: Incarnation | undefined): void {
    this.#last.delete(link);
    this.#refused.delete(link);
    if (lost !== undefined) this.#answers.lost(lost);
  }

  settle(): void {
    this.#answers.settle();
  }

  pulse(): void {
    this.#answers.pulse();
  }

  /** Whoever waits for an answer of this region is told something: it will say nothing any more. */
  flush(): void {
    this.#answers.flush();
  }

  #receive(ask: Ask, item: WorkItem, link: Link | undefined): void {
    const { view, options, isReady } = this.#state;
    const { shard } = ask;
    const isTaken = this.#hooks.takes(shard); // [A7] Before anything else is looked at.
    if (!view.hasShard(shard)) {
      const message = `Cannot reach "${shard}": there is no such shard`;
      this.answer(item, { how: "failed", code: "SHARD_NOT_FOUND", message });
      return;
    }
    const isLate = ask.since <= (this.#refused.get(item.link)?.get(shard) ?? -1);
    const isOurs = view.regionFor(shard) === options.name;
    if (isLate) this.#refuse(item, "NOT_READY", "An earlier message was refused");
    else if (!isReady) this.#refuse(item, "NOT_READY", `"${options.name}" does not serve`);
    else if (this.#isBehind(ask)) {
      if (link !== undefined) this.#hooks.synchronise(link); // [A8]
      this.#refuse(item, "NOT_READY", `"${options.name}" has not heard of it yet`);
    } else if (!isOurs) this.#redirect(item, link);
    else if (!isTaken) {
      this.#refuse(item, "NOT_READY", `"${options.name}" does not serve "${shard}" now`);
    } else if (!this.work.take(item, this.#state.now)) {
      const message = `Cannot take it: too much waits for "${shard}"`;
      this.answer(item, { how: "failed", code: "BUFFER_FULL", message }); // [S4]
    }
  }

  /** Whether the allocation that an ask was routed by is newer than what this peer knows [A8]. */
  #isBehind({ shard, token: time, writer }: Ask): boolean {
    const { replica, options } = this.#state;
    const known = replica.map(ALLOCATIONS).entry(shard);
    const routed = { time, writer: writer === "" ? options.incarnation : writer };
    return known === undefined || compareStamps(routed, known) > 0;
  }

  /** [A8] Moved: says where to. */
  #redirect(item: WorkItem, link: Link | undefined): void {
    const { replica } = this.#state;
    const entry = replica.map(ALLOCATIONS).entry(item.shard);
    if (link !== undefined && entry !== undefined) {
      const maps = [{ map: ALLOCATIONS, entries: [entry] }];
      this.#state.send(link, { type: "delta", maps });
    }
    this.#refuse(item, "NOT_OWNER", `"${item.shard}" has moved`);
  }

  #refuse(item: WorkItem, code: ErrorCode, message: string): void {
    const refused = this.#refused.get(item.link) ?? new Map<ShardId, number>();
    this.#refused.set(item.link, refused);
    refused.set(item.shard, Math.max(item.ask, refused.get(item.shard) ?? 0));
    this.answer(item, { how: "refused", code, message });
  }
}

function itemOf(
  { ask, shard, entity, body, remainingMs }: Ask,
  link: LinkId,
  { name: from, incarnation }: { readonly name: string; readonly incarnation: string },
  now: number,
): WorkItem {
  return { ask, link, from, incarnation, shard, entity, body, expiresAt: now + remainingMs };
}
