/**
 * The services of a peer: what every peer runs under the same name, such as the hosting of documents.
 *
 * A service is told which shards its region takes and gives away, as a user's host is, and beside it
 * (`host-parts.ts`). It posts to the service of its name at other peers, ordered and unacknowledged:
 *
 *   const port = services.register("documents", service);
 *   port.need("b");                 keeps a link to "b" open until port.release("b")
 *   port.post("b", bytes)           false: not taken, there is no link or too much waits in it
 *   service.onPost("b", bytes)      what the service of that name at "b" has posted
 *   service.onOpen("b")             posts to "b" are taken, after they were not, or as was needed
 *   service.onLost("b")             posts on their way, in either direction, may be lost: begin anew
 *   port.ask(shard, message)        to the same service at whoever serves the shard: `onMessage`
 *
 * Within a conversation, from `onOpen` or the first post to `onLost`, posts arrive in order and none is
 * missing. Bytes that were posted must not be changed any more, and those that came keep their frame
 * alive: what is kept is to be copied. A peer posts to itself like to any other.
 *
 * A peer that begins again (`onReset`) has no shards, and its conversations are over: the service
 * forgets what it held in memory for them. What it needs, it has to say anew.
 *
 * A service that throws in one of these calls is a bug and ends the peer, but for `onAcquire` and the
 * other functions of a host, which may reject.
 *
 * Rules: SPEC.md, N1 to N4.
 */
import { assert } from "../core/assert.ts";
import type { Delivery } from "../core/delivery.ts";
import { HearsayError } from "../core/error.ts";
import { SERVICE_NAME_LENGTH_MAX } from "../core/limits.ts";
import type { PeerName, ShardId } from "../core/units.ts";
import type { View } from "../core/view.ts";
import { SERVICE_ENTITY } from "../core/work.ts";
import { type Body, decodeBody, encodeBody } from "../wire/body.ts";
import type { RunnableHost } from "./host-runner.ts";
import type { Life } from "./life.ts";

/** How long the answer of a service is waited for, in ms, unless it says otherwise. */
const ASK_TIMEOUT_MS = 5000;

/** What a service is told. Whatever it leaves out of a host does nothing. */
export interface Service extends Partial<RunnableHost> {
  onPost?(from: PeerName, body: Uint8Array): void;
  onOpen?(peer: PeerName): void;
  onLost?(peer: PeerName): void;
  onReset?(): void;
}

/** What a service may do. */
export interface ServicePort {
  /** The name of this peer. */
  readonly name: PeerName;
  /** What this peer knows, in this life of it; undefined while it has none. */
  readonly view: View | undefined;
  /** Whether this peer serves and takes writes. */
  readonly isReady: boolean;
  /** Posts at most `MESSAGE_BYTES_MAX`. False: it was not taken, and `onOpen` says when one is. */
  post(to: PeerName, body: Uint8Array): boolean;
  canPost(to: PeerName): boolean;
  need(peer: PeerName): void;
  release(peer: PeerName): void;
  /** Asks this service at whoever serves the shard; rejects as `peer.ask` does. */
  ask(shard: ShardId, message: Body, timeoutMs?: number): Promise<Body>;
}

export class Services {
  readonly #name: PeerName;
  readonly #onFault: (error: unknown) => void;
  readonly #services = new Map<string, Service>();
  /** Which services need whom. */
  readonly #needs = new Map<PeerName, Set<string>>();
  #life: Life | undefined;

  constructor(name: PeerName, onFault: (error: unknown) => void) {
    this.#name = name;
    this.#onFault = onFault;
  }

  /** Adds a service, from now on. Each name once. */
  register(name: string, service: Service): ServicePort {
    assert(name.length > 0 && name.length <= SERVICE_NAME_LENGTH_MAX, "a service has a short name");
    assert(!this.#services.has(name), "each service is registered once");
    this.#services.set(name, service);
    if (this.#life !== undefined) this.#host(this.#life, name, service);
    return this.#port(name);
  }

  /** A life of the peer begins. */
  begin(life: Life): void {
    this.#life = life;
    for (const [name, service] of this.#services) this.#host(life, name, service);
  }

  /** The life of the peer is over: nothing is told, asked or posted until the next one. */
  end(): void {
    if (this.#life === undefined) return;
    this.#life = undefined;
    this.#needs.clear();
    this.#tellAll((service) => service.onReset?.());
  }

  delivered(delivery: Delivery): void {
    if (this.#life === undefined) return;
    if (delivery.type === "post") {
      const { from, service, body } = delivery;
      this.#tell(this.#services.get(service), (each) => each.onPost?.(from, body));
    } else if (delivery.type === "open") this.#tellAll((each) => each.onOpen?.(delivery.peer));
    else this.#tellAll((each) => each.onLost?.(delivery.peer));
  }

  #tellAll(tell: (service: Service) => void): void {
    for (const service of this.#services.values()) this.#tell(service, tell);
  }

  #tell(service: Service | undefined, tell: (service: Service) => void): void {
    if (service === undefined) return;
    try {
      tell(service);
    } catch (error) {
      this.#onFault(error);
    }
  }

  #host(life: Life, name: string, service: Service): void {
    const { onAcquire, onMessage, onRelease, exportState, importState } = service;
    if (onAcquire === undefined && onMessage === undefined && onRelease === undefined) return;
    const host: RunnableHost = {
      onAcquire: (shard, context) => service.onAcquire?.(shard, context),
      onRenew: (shard, context) => service.onRenew?.(shard, context),
      onMessage: (message, context) => service.onMessage?.(message, context),
      onRelease: (shard) => service.onRelease?.(shard),
      ...(exportState && { exportState: (shard) => exportState.call(service, shard) }),
      ...(importState && {
        importState: (shard, chunks, context) => importState.call(service, shard, chunks, context),
      }),
    };
    const [exports, imports] = [exportState !== undefined, importState !== undefined];
    const never = Number.POSITIVE_INFINITY;
    life.host(host, { exports, imports, remembers: false, passivateAfterMs: never }, name);
  }

  #need(service: string, peer: PeerName, isNeeded: boolean): void {
    const users = this.#needs.get(peer) ?? new Set();
    if (isNeeded) users.add(service);
    else if (!users.delete(service)) return;
    if (users.size > 0) this.#needs.set(peer, users);
    else this.#needs.delete(peer);
    if (isNeeded || users.size === 0) {
      this.#life?.deliver({ type: "peer-needed", peer, isNeeded });
    }
  }

  #ask(service: string, shard: ShardId, message: Body, timeoutMs: number): Promise<Body> {
    const body = encodeBody(message);
    assert("bytes" in body, "a service asks what can be said");
    return new Promise((resolve, reject) => {
      if (this.#life === undefined) throw new HearsayError("NOT_READY", "This peer is not ready");
      const entity = `${SERVICE_ENTITY}${service}`;
      this.#life.ask(
        { shard, entity, timeoutMs, body: body.bytes },
        {
          answered: (bytes) => {
            const answer = decodeBody(bytes);
            if (answer !== undefined) resolve(answer.body);
            else reject(new HearsayError("HANDLER_FAILED", "The answer is malformed"));
          },
          failed: reject,
        },
      );
    });
  }

  #port(name: string): ServicePort {
    const lifeNow = (): Life | undefined => this.#life;
    return {
      name: this.#name,
      get view() {
        return lifeNow()?.machine.view;
      },
      get isReady() {
        return lifeNow()?.machine.isReady === true;
      },
      post: (to, body) => lifeNow()?.post(to, name, body) === true,
      canPost: (to) => lifeNow()?.machine.canPost(to) === true,
      need: (peer) => this.#need(name, peer, true),
      release: (peer) => this.#need(name, peer, false),
      ask: (shard, message, timeoutMs = ASK_TIMEOUT_MS) =>
        this.#ask(name, shard, message, timeoutMs),
    };
  }
}
