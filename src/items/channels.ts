/**
 * Messages of any size to the same service of other peers, over posts that may not be taken.
 *
 * What one turn of the event loop says to one peer leaves in one post, when `flush` is called at its end.
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
  /** Something was said: `flush` is to be called when the turn of the event loop is over. */
  due(): void;
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
/** Several messages, each after its length. */
const SEVERAL = 4;

/** A length before a message, big-endian. */
const LENGTH_BYTES = 4;

interface Channel {
  /** What this turn has said, not yet in posts. */
  said: Uint8Array[];
  saidBytes: number;
  /** Posts that were not taken. */
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
  /** To whom something was said in this turn. */
  readonly #due = new Set<PeerName>();

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
    const channel = this.#channelOf(to);
    channel.said.push(message);
    channel.saidBytes += message.length;
    this.#due.add(to);
    if (channel.waitingBytes + channel.saidBytes > WAITING_BYTES_MAX)
      this.#giveUp(to); // [S4]
    else this.#hooks.due();
  }

  /** Posts what was said in this turn. */
  flush(): void {
    const due = [...this.#due];
    this.#due.clear();
    for (const peer of due) {
      const channel = this.#channels.get(peer);
      if (channel === undefined) continue;
      const { said } = channel;
      channel.said = [];
      channel.saidBytes = 0;
      for (const post of postsOf(said)) this.#post(peer, channel, post);
    }
  }

  /** Whether so much waits for a peer that more of it had better wait elsewhere. */
  isBusy(peer: PeerName): boolean {
    const { waitingBytes = 0, saidBytes = 0 } = this.#channels.get(peer) ?? {};
    return waitingBytes + saidBytes > BUSY_BYTES;
  }

  /** A post has come. */
  posted(from: PeerName, body: Uint8Array): void {
    const rest = body.subarray(1);
    if (body[0] === WHOLE) {
      this.#hooks.received(from, rest);
      return;
    }
    if (body[0] === SEVERAL) {
      for (const message of messagesIn(rest)) this.#hooks.received(from, message);
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
    this.#post(peer, this.#channelOf(peer), Uint8Array.of(RESET));
    this.#hooks.lost(peer);
  }

  /** The peer begins again: it needs nobody, and nothing is under way. */
  reset(): void {
    this.#channels.clear();
    this.#needed.clear();
    this.#due.clear();
  }

  #post(peer: PeerName, channel: Channel, post: Uint8Array): void {
    if (channel.waiting.length === 0 && this.#port.post(peer, post)) return;
    channel.waiting.push(post);
    channel.waitingBytes += post.length;
  }

  #channelOf(peer: PeerName): Channel {
    const known = this.#channels.get(peer);
    if (known !== undefined) return known;
    const channel: Channel = {
      ...{ said: [], saidBytes: 0, waiting: [], waitingBytes: 0, parts: [], partBytes: 0 },
    };
    this.#channels.set(peer, channel);
    return channel;
  }
}

/** Messages as posts, in order: small ones together, a large one in parts. */
function* postsOf(messages: readonly Uint8Array[]): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let bytes = 0;
  for (const message of messages) {
    const isLarge = message.length >= POST_BYTES;
    if (small.length > 0 && (isLarge || bytes + message.length >= POST_BYTES)) {
      yield together(small, bytes);
      small = [];
      bytes = 0;
    }
    if (isLarge) yield* partsOf(message);
    else {
      small.push(message);
      bytes += LENGTH_BYTES + message.length;
    }
  }
  if (small.length > 0) yield together(small, bytes);
}

function* partsOf(message: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < message.length; at += POST_BYTES) {
    const isLast = at + POST_BYTES >= message.length;
    yield framed(isLast ? LAST : PART, message.subarray(at, at + POST_BYTES));
  }
}

/** `bytes`: of all messages and their lengths. */
function together(messages: readonly Uint8Array[], bytes: number): Uint8Array {
  const [only] = messages;
  if (messages.length === 1 && only !== undefined) return framed(WHOLE, only);
  const post = new Uint8Array(1 + bytes);
  const view = new DataView(post.buffer);
  post[0] = SEVERAL;
  let at = 1;
  for (const message of messages) {
    view.setUint32(at, message.length);
    post.set(message, at + LENGTH_BYTES);
    at += LENGTH_BYTES + message.length;
  }
  return post;
}

/** The messages of a post; of one that is malformed, those before that. */
function* messagesIn(bytes: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + LENGTH_BYTES <= bytes.length; ) {
    const end = at + LENGTH_BYTES + view.getUint32(at);
    if (end > bytes.length) return;
    yield bytes.subarray(at + LENGTH_BYTES, end);
    at = end;
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
