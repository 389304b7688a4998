/**
 * The bus for who keeps gateways and regions apart: messages of live queries as entries of Redis streams.
 *
 * Every peer has one stream, its inbox, to which all others append, and which it alone reads. What a log
 * may lose, and what follows, is the matter of `conversations.ts`; here frames become entries, and entries
 * frames.
 *
 * A reader has a position in its inbox before it says a word to anybody, so nothing that it is answered can
 * come in front of it. It goes on behind the last entry that it has read, also over another connection.
 * Should the stream end before that, it is another one (a flush, a restart without a disk), and is read from
 * its beginning. What was read is trimmed, and a stream that nobody reads or writes any more expires.
 *
 * Entries are appended one batch after another. A batch whose answers were lost with their connection is
 * appended again: readers know what they have seen. What Redis refuses ends the conversation.
 *
 * There is a connection for reading, since that blocks, and one for writing. Both are dialled for ever, with
 * a deadline for everything that is asked, since a process that hangs keeps its sockets open.
 *
 * Deliberately absent: proofs of who wrote an entry. Whoever can write to that Redis speaks for any peer.
 *
 * Rules: SPEC.md, V14.
 */
import type { PeerName } from "../../core/units.ts";
import type { Clock } from "../../io/clock.ts";
import { createIncarnation } from "../../io/incarnation.ts";
import type { BusListener, LiveBus } from "../bus.ts";
import { Conversations } from "../conversations.ts";
import type { Answer, Control } from "../message.ts";
import { encodeMessages, tellMessages } from "./bus-bytes.ts";
import { hostOf, KeptConnection, loadRedis } from "./redis-connection.ts";
import { type Entry, RedisInbox, RedisOutbox, streamOf } from "./redis-streams.ts";

/** How often something may be due, in ms. */
const TICK_MS = 250;

export interface RedisBusOptions {
  /** `redis://` or `rediss://`. */
  readonly url: string;
  readonly cluster: string;
  readonly name: PeerName;
  readonly clock: Clock;
  /** Whether there is such a member: what others write is not looked at. */
  readonly isMember: (peer: PeerName) => boolean;
  /** Hears once why Redis cannot be used, and then when it can be again: undefined. */
  readonly onProblem: (problem: string | undefined) => void;
}

type Library = Awaited<ReturnType<typeof loadRedis>>;

/** Which connections are in use. */
interface Used {
  isReading: boolean;
  isWriting: boolean;
}

export class RedisBus implements LiveBus {
  readonly #library: Library;
  readonly #options: RedisBusOptions;
  readonly #listener: BusListener;
  readonly #conversations: Conversations;
  readonly #inbox: RedisInbox;
  readonly #outbox: RedisOutbox;
  readonly #reader: KeptConnection;
  #writer: KeptConnection | undefined;
  readonly #timer: NodeJS.Timeout;
  /** Who was refused for want of room. */
  readonly #refused = new Set<PeerName>();
  readonly #isUsed: Used = { isReading: false, isWriting: false };
  #hasProblem = false;
  /** Counts how often this peer has begun again. */
  #life = 0;
  #isClosed = false;

  /** Prepares a bus: `create` makes it. Rejects with `BAD_REQUEST` where the client is not installed. */
  static async prepare(options: RedisBusOptions): Promise<(listener: BusListener) => RedisBus> {
    const library = await loadRedis();
    return (listener) => new RedisBus(library, options, listener);
  }

  private constructor(library: Library, options: RedisBusOptions, listener: BusListener) {
    this.#library = library;
    this.#options = options;
    this.#listener = listener;
    const { cluster, name, clock, url } = options;
    this.#conversations = new Conversations(() => createIncarnation(clock.wallMs()));
    this.#inbox = new RedisInbox(streamOf(cluster, name), () => clock.now());
    this.#outbox = new RedisOutbox(cluster, name, (to) => {
      this.#conversations.failed(to, clock.now());
    });
    this.#reader = new KeptConnection({
      ...{ library, url },
      use: (connection, signal) =>
        this.#inbox.read(connection, signal, (entries) => this.#read(entries)),
      onDown: (error) => this.#down("isReading", error),
    });
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  canSend(to: PeerName): boolean {
    if (to === this.#options.name) return true;
    const isTaken = !this.#outbox.isFull && this.#conversations.canSend(to);
    if (!isTaken) this.#refused.add(to);
    return isTaken;
  }

  sendControl(region: PeerName, controls: readonly Control[]): boolean {
    if (region !== this.#options.name) return this.#send(region, controls);
    this.#toSelf((listener) => listener.controls(region, controls));
    return true;
  }

  sendDeltas(gateway: PeerName, answers: readonly Answer[]): boolean {
    if (gateway !== this.#options.name) return this.#send(gateway, answers);
    this.#toSelf((listener) => listener.deltas(gateway, answers));
    return true;
  }

  need(regions: ReadonlySet<PeerName>): void {
    const others = new Set(regions);
    others.delete(this.#options.name);
    this.#conversations.need(others, this.#options.clock.now());
    this.#carry();
  }

  reset(): void {
    this.#life += 1;
    this.#conversations.reset();
    this.#outbox.clear();
    this.#refused.clear();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#reader.close();
    this.#writer?.close();
  }

  #send(to: PeerName, messages: readonly (Control | Answer)[]): boolean {
    const bytes = this.canSend(to) ? encodeMessages(messages) : undefined;
    if (bytes === undefined) return false;
    const isTaken = this.#conversations.send(to, bytes, this.#options.clock.now());
    this.#carry();
    return isTaken;
  }

  /** What a peer says to itself needs no Redis. */
  #toSelf(tell: (listener: BusListener) => void): void {
    const life = this.#life;
    setImmediate(() => {
      if (!this.#isClosed && life === this.#life) tell(this.#listener);
    });
  }

  /** The inbox was read: nothing, when it is known from where on it will be. */
  #read(entries: readonly Entry[]): void {
    this.#writer ??= new KeptConnection({
      ...{ library: this.#library, url: this.#options.url },
      use: (connection, signal) => this.#outbox.write(connection, signal, () => this.#wrote()),
      onDown: (error) => this.#down("isWriting", error),
    });
    this.#up("isReading");
    const now = this.#options.clock.now();
    for (const { from, frame } of entries) {
      if (from === this.#options.name || !this.#options.isMember(from)) continue;
      this.#conversations.received(from, frame, now);
    }
    this.#carry();
  }

  #wrote(): void {
    this.#up("isWriting");
    this.#carry();
    if (this.#outbox.isFull || this.#isClosed) return;
    for (const peer of [...this.#refused]) {
      if (!this.#conversations.canSend(peer)) continue;
      this.#refused.delete(peer);
      this.#listener.opened(peer);
    }
  }

  #tick(): void {
    if (!this.#isUsed.isReading || !this.#isUsed.isWriting) return;
    this.#conversations.tick(this.#options.clock.now());
    this.#carry();
  }

  /** Brings frames to where they are written, and what has happened to who listens. */
  #carry(): void {
    for (const [to, frame] of this.#conversations.takeFrames()) {
      if (!this.#outbox.put(to, frame)) {
        this.#conversations.failed(to, this.#options.clock.now());
      }
    }
    for (const happening of this.#conversations.takeHappenings()) {
      if (this.#isClosed) return;
      const { type, peer } = happening;
      if (type === "message") tellMessages(this.#listener, peer, happening.body);
      else if (type === "lost") this.#listener.lost(peer);
      else {
        this.#refused.delete(peer);
        this.#listener.opened(peer);
      }
    }
  }

  #up(what: keyof Used): void {
    if (this.#isUsed[what]) return;
    this.#isUsed[what] = true;
    if (!this.#isUsed.isReading || !this.#isUsed.isWriting) return;
    this.#conversations.resumed(this.#options.clock.now());
    if (this.#hasProblem) this.#options.onProblem(undefined);
    this.#hasProblem = false;
  }

  #down(what: keyof Used, error: Error): void {
    this.#isUsed[what] = false;
    if (this.#hasProblem || this.#isClosed) return;
    this.#hasProblem = true;
    const { url, onProblem } = this.#options;
    onProblem(`Cannot use Redis at ${hostOf(url)}: ${error.message}`);
  }
}
