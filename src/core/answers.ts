/**
 * The answers of this region's host on their way back, no faster than links take them.
 *
 * Answers may be large, and nobody asks before they come: a thousand small questions can bring a
 * gigabyte. What exceeds a burst within one pulse, or meets a full socket, waits, and so the buffer of a
 * link never grows to where the link would be given up. What waits is bounded. Who asked for more is told
 * that its message was handled and its answer is lost.
 *
 * Answers are for a life of a peer and not for a link: one goes over the link by which its question came,
 * and where that has ended, over any other. There may be none here yet, since links are closed as
 * duplicates of others that open later; then answers wait for one, as long as a dial may take.
 *
 * Rules: SPEC.md, G7, H3 and S4.
 */
import { ANSWER_BYTES_BURST, ANSWER_BYTES_WAITING_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Answer } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Incarnation, Instant, LinkId } from "./units.ts";

interface Lane {
  /** Bytes since the last pulse. */
  bytes: number;
  readonly waiting: Answer[];
  /** No link is there: how long one is waited for. */
  untilAt: Instant | undefined;
}

/** What an answer takes besides its body, about. */
const ANSWER_BYTES = 32;

export class Answers {
  readonly #state: PeerState;
  readonly #lanes = new Map<Incarnation, Lane>();
  #waitingBytes = 0;
  #linkChanges = 0;

  constructor(state: PeerState) {
    this.#state = state;
  }

  send(link: LinkId, incarnation: Incarnation, answer: Answer): void {
    const asked = this.#state.links.get(link);
    const target = asked?.isClosing === false ? asked : this.#state.links.to(incarnation);
    const lane = this.#lanes.get(incarnation) ?? { bytes: 0, waiting: [], untilAt: undefined };
    this.#lanes.set(incarnation, lane);
    if (target !== undefined && lane.waiting.length === 0 && hasRoom(target, lane)) {
      this.#send(target, lane, answer);
    } else this.#hold(target, lane, answer);
  }

  /** A link to a life of a peer has ended, and the other end has given up what was to come over it. */
  lost(incarnation: Incarnation): void {
    if (this.#state.links.to(incarnation) === undefined) this.#drop(incarnation);
  }

  /** Sends what waited for a link that is there now. */
  settle(): void {
    const { changes } = this.#state.links;
    if (this.#lanes.size === 0 || changes === this.#linkChanges) return;
    this.#linkChanges = changes;
    for (const [incarnation, lane] of this.#lanes) {
      const link = this.#state.links.to(incarnation);
      if (link !== undefined && lane.untilAt !== undefined) this.#release(link, lane);
    }
  }

  /** A while has passed: more may be sent. */
  pulse(): void {
    const { links, now } = this.#state;
    for (const [incarnation, lane] of this.#lanes) {
      const link = links.to(incarnation);
      lane.bytes = 0;
      if (link !== undefined) this.#release(link, lane);
      else if (now >= (this.#patience(lane) ?? now)) this.#drop(incarnation);
      if (lane.waiting.length === 0 && lane.bytes === 0) this.#lanes.delete(incarnation);
    }
  }

  /** Says of all that waits that it is lost: this peer is about to close its links. */
  flush(): void {
    for (const [incarnation, lane] of this.#lanes) {
      const link = this.#state.links.to(incarnation);
      if (link !== undefined) for (const answer of lane.waiting) this.#lose(link, answer);
    }
    this.#lanes.clear();
    this.#waitingBytes = 0;
  }

  /** Until when a lane with answers, and without a link, waits for one. */
  #patience(lane: Lane): Instant | undefined {
    const { now, timings } = this.#state;
    if (lane.waiting.length > 0) lane.untilAt ??= now + timings.dialTimeoutMs;
    return lane.untilAt;
  }

  #release(link: Link, lane: Lane): void {
    lane.untilAt = undefined;
    let count = 0;
    for (const answer of lane.waiting) {
      if (!hasRoom(link, lane)) break;
      count += 1;
      this.#waitingBytes -= bytesOf(answer);
      this.#send(link, lane, answer);
    }
    lane.waiting.splice(0, count);
  }

  #send(link: Link, lane: Lane, answer: Answer): void {
    lane.bytes += bytesOf(answer);
    this.#state.send(link, answer);
  }

  #hold(link: Link | undefined, lane: Lane, answer: Answer): void {
    if (this.#waitingBytes + bytesOf(answer) <= ANSWER_BYTES_WAITING_MAX) {
      this.#waitingBytes += bytesOf(answer);
      lane.waiting.push(answer);
      if (link === undefined) this.#patience(lane);
    } else if (link !== undefined) this.#lose(link, answer); // [S4]
  }

  /** Said at once, since it is short. */
  #lose(link: Link, answer: Answer): void {
    const message = "It was handled, and its answer is lost: too many others wait for this link";
    const outcome = { how: "failed", code: "TIMEOUT", message } as const;
    this.#state.send(link, { type: "answer", ask: answer.ask, outcome });
  }

  #drop(incarnation: Incarnation): void {
    for (const answer of this.#lanes.get(incarnation)?.waiting ?? []) {
      this.#waitingBytes -= bytesOf(answer);
    }
    this.#lanes.delete(incarnation);
  }
}

function hasRoom(link: Link, lane: Lane): boolean {
  return !link.isCongested && lane.bytes < ANSWER_BYTES_BURST;
}

function bytesOf({ outcome }: Answer): number {
  return ANSWER_BYTES + (outcome.how === "done" ? outcome.body.length : outcome.message.length);
}
