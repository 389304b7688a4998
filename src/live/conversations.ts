/**
 * Conversations over a log that may lose anything: what makes a bus of it.
 *
 * A log, such as a stream of Redis, keeps what is written to it for a while. It may forget what nobody has
 * read (it was trimmed, flushed, or lost with its disk), repeat what a writer wrote again because it did not
 * hear of the first time, and bring what was said to an earlier life of a peer. Here that becomes a
 * conversation in which nothing is missing, or the end of one.
 *
 * Each end of a conversation calls it by a *session* of its own, which it uses once. A frame carries the
 * session of its sender, and the one that it is about: that of its receiver, as far as its sender has heard
 * of it. Messages are counted in a session, so a gap shows; a *pulse*, which carries no message, says the
 * count, so a loss at the very end shows as well, and how much was heard, which makes room for more.
 *
 *   a                                       b
 *     pulse  { a1, about nobody, 0 }  --->    adopts a1, and is open
 *     open   <---  { b1, about a1, 0 } pulse
 *     message { a1, about b1, 1 }     --->
 *
 * Whoever notices a gap, or a session that it has not heard of, ends the conversation, takes a new session,
 * and says so: the other end sees that the session is new, and ends it, too. Sessions that were ended are
 * remembered, so that late frames do not bring them back.
 *
 * What is on its way to a peer and has not been heard is bounded, by number and by length: so a log needs to
 * be only so long.
 *
 * Rules: SPEC.md, V14.
 */
import type { Instant, PeerName } from "../core/units.ts";

/** Messages to one peer that it has not heard yet, and their bytes. */
export const UNHEARD_MAX = 64;
const UNHEARD_BYTES_MAX = 1_048_576;

/** Messages after which their sender is told that they were heard: a quarter of what it may send. */
const HEARD_EVERY = 16;

/** How often somebody who is needed is told that all is well, in ms. */
const PULSE_MS = 1000;

/** How long a peer may be silent, in ms: five pulses. */
const SILENCE_MS = 5000;

/** Sessions of one peer that are remembered when they are over. Late frames are late by seconds. */
const PAST_MAX = 8;

/** Peers that one peer may be in conversation with: as many as there may be members. */
const PEERS_MAX = 4096;

/** What is written to the log of a peer. */
export interface Frame {
  /** Of its sender, for its receiver. */
  readonly session: string;
  /** That of its receiver; empty when its sender has not heard of one. */
  readonly about: string;
  /** How many messages there were in `session`, with this one. */
  readonly count: number;
  /** How many of `about` have been heard. */
  readonly heard: number;
  /** The message; undefined for a pulse. */
  readonly body: Uint8Array | undefined;
}

/** What happened. Bodies are those of frames. */
export type Happening =
  | { readonly type: "message"; readonly peer: PeerName; readonly body: Uint8Array }
  | { readonly type: "opened"; readonly peer: PeerName }
  | { readonly type: "lost"; readonly peer: PeerName };

interface Conversation {
  readonly peer: PeerName;
  isNeeded: boolean;
  session: string;
  remote: string | undefined;
  /** Messages sent in `session`, and the lengths of those that have not been heard. */
  sent: number;
  readonly unheard: number[];
  unheardBytes: number;
  /** Messages heard in `remote`, and how many of these the other end has been told of. */
  heard: number;
  heardTold: number;
  /** When something was last said, and heard. */
  saidAt: Instant;
  heardAt: Instant;
  /** Whether its user knows that messages are taken. */
  isOpen: boolean;
  readonly past: string[];
}

export class Conversations {
  readonly #newSession: () => string;
  readonly #all = new Map<PeerName, Conversation>();
  #frames: [to: PeerName, frame: Frame][] = [];
  #happenings: Happening[] = [];

  /** `newSession` gives a name that no process has used, or will. */
  constructor(newSession: () => string) {
    this.#newSession = newSession;
  }

  /** Keeps conversations with these peers. Others go on as long as the other end wants them. */
  need(peers: ReadonlySet<PeerName>, now: Instant): void {
    for (const conversation of this.#all.values()) {
      conversation.isNeeded = peers.has(conversation.peer);
    }
    for (const peer of peers) {
      if (this.#all.has(peer)) continue;
      const conversation = this.#begin(peer, now);
      if (conversation === undefined) continue;
      conversation.isNeeded = true;
      this.#say(conversation, undefined, now);
    }
  }

  canSend(to: PeerName): boolean {
    const conversation = this.#all.get(to);
    return conversation !== undefined && hasRoom(conversation);
  }

  /** Says something to a peer. False: it is not taken, and `opened` says when it is. */
  send(to: PeerName, body: Uint8Array, now: Instant): boolean {
    const conversation = this.#all.get(to);
    if (conversation === undefined || !hasRoom(conversation)) return false;
    conversation.sent += 1;
    conversation.unheard.push(body.length);
    conversation.unheardBytes += body.length;
    this.#say(conversation, body, now);
    if (!hasRoom(conversation)) conversation.isOpen = false;
    return true;
  }

  /** A frame was read from this peer's log. What makes no sense in it ends a conversation at most. */
  received(from: PeerName, frame: Frame, now: Instant): void {
    const isHello = frame.about === "" && frame.count === 0;
    const known = this.#all.get(from);
    const conversation = known ?? this.#begin(from, now);
    if (conversation === undefined) return; // [S4]
    if (conversation.past.includes(frame.session)) return; // Of a session that is over.
    if (conversation.remote !== undefined && conversation.remote !== frame.session) {
      this.#end(conversation, now); // It has begun anew.
    }
    if (conversation.remote === undefined) {
      if (frame.about !== conversation.session && !isHello) {
        // It speaks to an earlier life of this peer, and has to hear of this one. Seldom enough.
        if (known === undefined || isDue(conversation, now)) {
          this.#say(conversation, undefined, now);
        }
        return;
      }
      conversation.remote = frame.session;
    }
    conversation.heardAt = now;
    if (frame.about === conversation.session && !acknowledge(conversation, frame.heard)) {
      this.#lose(conversation, now);
      return;
    }
    this.#hear(conversation, frame, now);
  }

  /** A frame to a peer could not be written, and never will be. */
  failed(to: PeerName, now: Instant): void {
    const conversation = this.#all.get(to);
    if (conversation !== undefined) this.#end(conversation, now); // Said by the next pulse.
  }

  /** The log can be read and written, after it could not: nobody was silent meanwhile. */
  resumed(now: Instant): void {
    for (const conversation of this.#all.values()) {
      conversation.heardAt = now;
      if (conversation.isNeeded) this.#say(conversation, undefined, now);
    }
  }

  /** What is due by the clock. To be called a few times a second, while the log can be read and written. */
  tick(now: Instant): void {
    for (const conversation of [...this.#all.values()]) {
      const { peer, isNeeded, heardAt, remote } = conversation;
      if (now - heardAt >= SILENCE_MS) {
        if (remote !== undefined) this.#end(conversation, now);
        conversation.heardAt = now;
        if (!isNeeded) this.#all.delete(peer);
      }
      if (!isDue(conversation, now)) continue;
      if (isNeeded || remote === undefined) this.#say(conversation, undefined, now);
    }
  }

  /** This peer begins again: all conversations are over, and nobody is told. */
  reset(): void {
    this.#all.clear();
    this.#frames = [];
    this.#happenings = [];
  }

  /** Takes what is to be written, in order. */
  takeFrames(): [to: PeerName, frame: Frame][] {
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  /** Takes what has happened, in order. */
  takeHappenings(): Happening[] {
    const happenings = this.#happenings;
    this.#happenings = [];
    return happenings;
  }

  #hear(conversation: Conversation, { count, about, body }: Frame, now: Instant): void {
    const { peer, heard, session, isNeeded } = conversation;
    const expected = body === undefined ? heard : heard + 1;
    if (count > expected) {
      this.#lose(conversation, now); // Something is missing.
      return;
    }
    if (body !== undefined && count === expected) {
      conversation.heard += 1;
      this.#happenings.push({ type: "message", peer, body });
    }
    const isUnknown = about !== session; // It has not heard of this session.
    const isAsked = body === undefined && !isNeeded && isDue(conversation, now);
    if (isUnknown || isAsked || conversation.heard - conversation.heardTold >= HEARD_EVERY) {
      this.#say(conversation, undefined, now);
    }
    if (conversation.isOpen || !hasRoom(conversation)) return;
    conversation.isOpen = true;
    this.#happenings.push({ type: "opened", peer });
  }

  /** Ends a conversation and lets the other end know. */
  #lose(conversation: Conversation, now: Instant): void {
    this.#end(conversation, now);
    this.#say(conversation, undefined, now);
  }

  #end(conversation: Conversation, now: Instant): void {
    const { peer, remote, past, unheard } = conversation;
    if (remote !== undefined) {
      past.push(remote);
      if (past.length > PAST_MAX) past.shift();
      this.#happenings.push({ type: "lost", peer });
    }
    unheard.length = 0;
    Object.assign(conversation, { ...this.#fresh(now), remote: undefined });
  }

  #begin(peer: PeerName, now: Instant): Conversation | undefined {
    if (this.#all.size >= PEERS_MAX) return undefined; // [S4]
    const conversation: Conversation = {
      ...{ peer, isNeeded: false, remote: undefined, unheard: [], past: [] },
      ...this.#fresh(now),
    };
    this.#all.set(peer, conversation);
    return conversation;
  }

  #fresh(now: Instant) {
    return {
      ...{ session: this.#newSession(), sent: 0, unheardBytes: 0, heard: 0, heardTold: 0 },
      ...{ saidAt: now, heardAt: now, isOpen: false },
    };
  }

  #say(conversation: Conversation, body: Uint8Array | undefined, now: Instant): void {
    const { peer, session, remote: about = "", sent: count, heard } = conversation;
    conversation.heardTold = heard;
    conversation.saidAt = now;
    this.#frames.push([peer, { session, about, count, heard, body }]);
  }
}

function hasRoom({ remote, unheard, unheardBytes }: Conversation): boolean {
  return remote !== undefined && unheard.length < UNHEARD_MAX && unheardBytes < UNHEARD_BYTES_MAX;
}

/** Whether the other end has not heard anything for as long as it should. */
function isDue({ saidAt }: Conversation, now: Instant): boolean {
  return now - saidAt >= PULSE_MS;
}

/** The other end has heard so many messages. False: it cannot have. */
function acknowledge(conversation: Conversation, heard: number): boolean {
  const { sent, unheard } = conversation;
  if (heard > sent) return false;
  while (sent - unheard.length < heard) conversation.unheardBytes -= unheard.shift() ?? 0;
  return true;
}
