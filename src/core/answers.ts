/**
 * The answers of this region's host on their way back, no faster than links take them.
 *
 * Answers may be large, and nobody asks before they come: a thousand small questions can bring a
 * gigabyte. What exceeds a burst within one pulse, or meets a full socket, waits, and so the buffer of a
 * link never grows to where the link would be given up. What waits is bounded. Who asked for more is told
 * that its message was handled and its answer is lost.
 *
 * An answer goes over the link by which its question came; where that has ended, over any other to the
 * same life of the peer.
 *
 * Rules: SPEC.md, H3 and S4.
 */
import { ANSWER_BYTES_BURST, ANSWER_BYTES_WAITING_MAX } from "./limits.ts";
import type { Link } from "./link.ts";
import type { Answer } from "./message.ts";
import type { PeerState } from "./peer-state.ts";
import type { Incarnation, LinkId } from "./units.ts";

interface Lane {
  /** Bytes since the last pulse. */
  bytes: number;
  readonly waiting: Answer[];
}

/** What an answer takes besides its body, about. */
const ANSWER_BYTES = 32;

export class Answers {
  readonly #state: PeerState;
  readonly #lanes = new Map<LinkId, Lane>();
  #waitingBytes = 0;

  constructor(state: PeerState) {
    this.#state = state;
  }

  send(link: LinkId, incarnation: Incarnation, answer: Answer): void {
    const { links } = this.#state;
    const asked = links.get(link);
    const target = asked?.isClosing === false ? asked : links.to(incarnation);
    if (target === undefined) return; // The end of the link has told whoever asked.
    const lane = this.#lanes.get(target.id) ?? { bytes: 0, waiting: [] };
    this.#lanes.set(target.id, lane);
    if (lane.waiting.length > 0 || !hasRoom(target, lane)) this.#hold(target, lane, answer);
    else this.#send(target, lane, answer);
  }

  /** A while has passed: more may be sent. */
  pulse(): void {
    for (const [id, lane] of this.#lanes) {
      const link = this.#state.links.get(id);
      if (link === undefined || link.isClosing) this.#drop(id, lane);
      else this.#release(link, lane);
    }
  }

  /** Says of all that waits that it is lost: this peer is about to close its links. */
  flush(): void {
    for (const [id, lane] of this.#lanes) {
      const link = this.#state.links.get(id);
      if (link === undefined || link.isClosing) continue;
      for (const answer of lane.waiting) this.#lose(link, answer);
      lane.waiting.length = 0;
    }
    this.#waitingBytes = 0;
  }

  #release(link: Link, lane: Lane): void {
    lane.bytes = 0;
    while (lane.waiting.length > 0 && hasRoom(link, lane)) {
      const answer = lane.waiting.shift() as Answer;
      this.#waitingBytes -= bytesOf(answer);
      this.#send(link, lane, answer);
    }
    if (lane.bytes === 0) this.#lanes.delete(link.id);
  }

  #send(link: Link, lane: Lane, answer: Answer): void {
    lane.bytes += bytesOf(answer);
    this.#state.send(link, answer);
  }

  #hold(link: Link, lane: Lane, answer: Answer): void {
    if (this.#waitingBytes + bytesOf(answer) <= ANSWER_BYTES_WAITING_MAX) {
      this.#waitingBytes += bytesOf(answer);
      lane.waiting.push(answer);
      return;
    }
    this.#lose(link, answer); // [S4]
  }

  /** Said at once, since it is short. */
  #lose(link: Link, answer: Answer): void {
    const message = "It was handled, and its answer is lost: too many others wait for this link";
    const outcome = { how: "failed", code: "TIMEOUT", message } as const;
    this.#state.send(link, { type: "answer", ask: answer.ask, outcome });
  }

  #drop(id: LinkId, lane: Lane): void {
    for (const answer of lane.waiting) this.#waitingBytes -= bytesOf(answer);
    this.#lanes.delete(id);
  }
}

function hasRoom(link: Link, lane: Lane): boolean {
  return !link.isCongested && lane.bytes < ANSWER_BYTES_BURST;
}

function bytesOf({ outcome }: Answer): number {
  return ANSWER_BYTES + (outcome.how === "done" ? outcome.body.length : outcome.message.length);
}
