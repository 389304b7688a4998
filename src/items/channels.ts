/**
 * Messages of any size to the same service of other peers, over posts that may not be taken.
 *
 * What is not taken waits, in order, until posts are; what is too large for one post goes in several. What
 * waits for one peer is bounded: beyond that it is all forgotten, and the owner is told that the
 * conversation is lost, as if the link had ended. Whoever can wait asks `isBusy` before it sends much.
 *
 * Whoever gives a conversation up that goes on at the other end says so: both ends begin anew.
 *
 * A peer that was sent anything is needed from then on, until it is no member any more.
 *
 * Rules: SPEC.md, N1, N2 and S4.
 */
import type { PeerName } from "../core/units.ts";

/** What posts: `ServicePort`, or part of it. */
export interface PostPort {
  post(to: PeerName, body: Uint8Array): boolean;
  need(peer: PeerName): void;
  release(peer: PeerName): void;
}

export interface ChannelHooks {
  received(from: PeerName, message: Uint8Array): void;
  /** Everything that was said to this peer and by it, and has not come, will not come. */
  lost(peer: PeerName): void;
  /** Messages to this peer get through again. */
  opened(peer: PeerName): void;
}

/** Size of a post, in bytes: several fit into what a link takes at a time. */
const POST_BYTES = 524_288;

/** Bytes of messages that wait for one peer: a document of the largest size, twice. */
const WAITING_BYTES_MAX = 134_217_728;

/** Bytes above which whoever can wait should. */
const BUSY_BYTES = 1_048_576;

/** Size of one message, in bytes. */
export const CHANNEL_MESSAGE_BYTES_MAX = 67_108_864;

/** What a post begins with: all of a message, a part that more follow, or its last part. */
const WHOLE = 0;
const PART = 1;
const LAST = 2;
/** The other end has given the conversation up: what it was told is forgotten. */
const RESET = 3;

interface Channel {
  readonly waiting: Uint8Array[];
  waitingBytes: number;
  /** Parts of a message that is coming in. */
  readonly parts: Uint8Array[];
  partBytes: number;
}

export class Channels {
  readonly #port: PostPort;
  readonly #hooks: ChannelHooks;
  readonly #channels = new Map<PeerName, Channel>();
  readonly #needed = new Set<PeerName>();

  constructor(port: PostPort, hooks: ChannelHooks) {
    this.#port = port;
    this.#hooks = hooks;
  }

  /** Sends a message, which must not change any more. */
  send(to: PeerName, message: Uint8Array): void {
    if (!this.#needed.has(to)) {
      this.#needed.add(to);
      this.#port.need(to);
    }
    for (const post of postsOf(message)) {
      const channel = this.#channels.get(to);
      const waits = channel !== undefined && channel.waiting.length > 0;
      if (!waits && this.#port.post(to, post)) continue;
      const own = this.#channelOf(to);
      own.waiting.push(post);
      own.waitingBytes += post.length;
    }
    if ((this.#channels.get(to)?.waitingBytes ?? 0) > WAITING_BYTES_MAX) this.#giveUp(to); // [S4]
  }

  /** Whether so much waits for a peer that more of it had better wait elsewhere. */
  isBusy(peer: PeerName): boolean {
    return (this.#channels.get(peer)?.waitingBytes ?? 0) > BUSY_BYTES;
  }

  /** A post has come. */
  posted(from: PeerName, body: Uint8Array): void {
    const rest = body.subarray(1);
    if (body[0] === WHOLE) {
      this.#hooks.received(from, rest);
      return;
    }
    if (body[0] === RESET) {
      this.lost(from);
      return;
    }
    const channel = this.#channelOf(from);
    channel.parts.push(rest);
    channel.partBytes += rest.length;
    if (channel.partBytes > CHANNEL_MESSAGE_BYTES_MAX) {
      this.#giveUp(from); // [S4]
    } else if (body[0] === LAST) {
      const message = joined(channel.parts, channel.partBytes);
      channel.parts.length = 0;
      channel.partBytes = 0;
      this.#hooks.received(from, message);
    }
  }

  opened(peer: PeerName): void {
    const channel = this.#channels.get(peer);
    // Posting may bring about the next event of this peer, so each is taken out first.
    for (let post = channel?.waiting.shift(); post !== undefined; post = channel?.waiting.shift()) {
      if (!this.#port.post(peer, post)) {
        channel?.waiting.unshift(post);
        return;
      }
      if (channel !== undefined) channel.waitingBytes -= post.length;
    }
    this.#hooks.opened(peer);
  }

  lost(peer: PeerName): void {
    this.#channels.delete(peer);
    this.#hooks.lost(peer);
  }

  /** Needs nobody any more but these. */
  retain(peers: ReadonlySet<PeerName>): void {
    for (const peer of [...this.#needed]) {
      if (peers.has(peer)) continue;
      this.#needed.delete(peer);
      this.#port.release(peer);
      this.#giveUp(peer);
    }
  }

  /** Ends a conversation whose link may go on: the other end has to hear of it. */
  #giveUp(peer: PeerName): void {
    this.#channels.delete(peer);
    const reset = Uint8Array.of(RESET);
    if (!this.#port.post(peer, reset)) {
      const channel = this.#channelOf(peer);
      channel.waiting.push(reset);
      channel.waitingBytes += reset.length;
    }
    this.#hooks.lost(peer);
  }

  /** The peer begins again: it needs nobody, and nothing is under way. */
  reset(): void {
    this.#channels.clear();
    this.#needed.clear();
  }

  #channelOf(peer: PeerName): Channel {
    const known = this.#channels.get(peer);
    if (known !== undefined) return known;
    const channel: Channel = { waiting: [], waitingBytes: 0, parts: [], partBytes: 0 };
    this.#channels.set(peer, channel);
    return channel;
  }
}

function* postsOf(message: Uint8Array): Generator<Uint8Array> {
  if (message.length < POST_BYTES) {
    yield framed(WHOLE, message);
    return;
  }
  for (let at = 0; at < message.length; at += POST_BYTES) {
    const isLast = at + POST_BYTES >= message.length;
    yield framed(isLast ? LAST : PART, message.subarray(at, at + POST_BYTES));
  }
}

function framed(kind: number, bytes: Uint8Array): Uint8Array {
  const post = new Uint8Array(1 + bytes.length);
  post[0] = kind;
  post.set(bytes, 1);
  return post;
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const message = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}
