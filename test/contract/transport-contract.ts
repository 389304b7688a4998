/**
 * What every transport must do, whether its links are sockets or simulated. Run by the tests of each.
 */
import { describe, expect, test } from "vitest";
import type { DialMark, Remote } from "../../src/core/event.ts";
import type { Delta, Message } from "../../src/core/message.ts";
import type { Address, LinkId } from "../../src/core/units.ts";
import type { TransportEffect, TransportEvent } from "../../src/io/websocket-transport.ts";
import type { Identity } from "../../src/wire/handshake.ts";

/** A transport that listens, and what it told its sink. */
export interface Endpoint {
  /** Who it says it is; `address` is where it can be dialled. */
  readonly identity: Identity;
  perform(effect: TransportEffect): void;
  /** Events that were told and not taken yet, the oldest first. */
  readonly events: readonly TransportEvent[];
  /** Takes the next event, waiting for it if need be. Rejects when none comes in a long time. */
  next(): Promise<TransportEvent>;
  /** Lets one turn of the event loop pass. */
  turn(): Promise<void>;
  /** Stops reading from accepted links, so that what is sent to them piles up with the sender. */
  stall(): void;
  /** Reads on. */
  unstall(): void;
  /** Ends as a killed process does: its links are cut and nobody listens at its address any more. */
  kill(): Promise<void>;
  /** Closes the transport and stops listening. Idempotent. */
  close(): Promise<void>;
}

/** Starts an endpoint whose identity is made of defaults and `differences`. */
export type StartEndpoint = (name: string, differences?: Partial<Identity>) => Promise<Endpoint>;

const done = (exchange: number): Message => ({ type: "done", exchange });

/** A message of about 80 000 bytes, told apart by its number. */
const bulk = (number: number): Delta => ({
  type: "delta",
  maps: [
    {
      map: "settings",
      entries: [0, 1, 2, 3].map((index) => ({
        key: `${number}-${index}`,
        value: "x".repeat(20_000),
        time: number,
        writer: "writer-a",
      })),
    },
  ],
});

/** Takes the next event and checks its type. */
async function take<T extends TransportEvent["type"]>(
  endpoint: Endpoint,
  type: T,
): Promise<Extract<TransportEvent, { readonly type: T }>> {
  const event = await endpoint.next();
  expect(event.type).toBe(type);
  return event as Extract<TransportEvent, { readonly type: T }>;
}

/** Takes received frames until they add up to `count` messages. */
async function takeMessages(endpoint: Endpoint, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  while (messages.length < count) messages.push(...(await take(endpoint, "received")).messages);
  return messages;
}

const remoteOf = ({ identity }: Endpoint): Remote => {
  const { name, incarnation, address, wallMs, founding, era } = identity;
  const { isHosting = false, isAccompanied = false } = identity;
  const dial: unknown = expect.objectContaining({ mark: expect.any(Number) });
  const rest = { isHosting, isAccompanied, dial: dial as DialMark };
  return { name, incarnation, address, wallMs, founding, era, ...rest };
};

/** Dials `to` from `from` and returns the link's number at both ends. */
async function link(from: Endpoint, to: Endpoint): Promise<{ near: LinkId; far: LinkId }> {
  from.perform({ type: "dial", dial: 1, address: to.identity.address });
  const near = await take(from, "link-opened");
  const far = await take(to, "link-opened");
  return { near: near.link, far: far.link };
}

export function transportContract(name: string, start: StartEndpoint): void {
  /** Runs `act` with two endpoints, and closes them whatever happens. */
  async function withPair(act: (a: Endpoint, b: Endpoint) => Promise<void>): Promise<void> {
    const [a, b] = await Promise.all([start("a"), start("b")]);
    try {
      await act(a, b);
    } finally {
      await Promise.all([a.close(), b.close()]);
    }
  }

  describe(`${name} opens links`, () => {
    test("[S1] a dial opens a link at both ends and tells each who the other is", () =>
      withPair(async (a, b) => {
        a.perform({ type: "dial", dial: 7, address: b.identity.address });
        expect(await a.next()).toEqual({
          type: "link-opened",
          link: expect.any(Number),
          remote: remoteOf(b),
          dial: 7,
        });
        expect(await b.next()).toEqual({
          type: "link-opened",
          link: expect.any(Number),
          remote: remoteOf(a),
        });
      }));

    test("two dials make two links with numbers of their own", () =>
      withPair(async (a, b) => {
        const first = await link(a, b);
        const second = await link(b, a);
        expect(first.near).not.toBe(second.far);
        expect(first.far).not.toBe(second.near);
        a.perform({ type: "send", links: [first.near], message: done(1) });
        expect(await take(b, "received")).toMatchObject({ link: first.far, messages: [done(1)] });
        a.perform({ type: "send", links: [second.far], message: done(2) });
        expect(await take(b, "received")).toMatchObject({ link: second.near, messages: [done(2)] });
      }));

    test("[F5] a dial to where nobody listens is refused", () =>
      withPair(async (a, b) => {
        await b.kill();
        a.perform({ type: "dial", dial: 3, address: b.identity.address });
        expect(await a.next()).toEqual({ type: "dial-failed", dial: 3, failure: "refused" });
      }));

    test.each(["nonsense", "256.256.256.256:1", "a:99999"])(
      "a dial to %j fails, and later than the effect",
      (address: Address) =>
        withPair(async (a) => {
          a.perform({ type: "dial", dial: 4, address });
          expect(a.events).toEqual([]);
          expect(await a.next()).toEqual({ type: "dial-failed", dial: 4, failure: "unreachable" });
        }),
    );

    test("a peer that dials itself is told so and hears nothing else of it", () =>
      withPair(async (a, b) => {
        a.perform({ type: "dial", dial: 5, address: a.identity.address });
        expect(await a.next()).toEqual({ type: "dial-failed", dial: 5, failure: "self" });
        await link(a, b);
      }));

    test.each([
      ["of another cluster", { cluster: "elsewhere" }, "CLUSTER_MISMATCH"],
      ["of another shard count", { shardCount: 9 }, "CLUSTER_MISMATCH"],
      ["of another version", { versionLow: 2, versionHigh: 3 }, "VERSION_MISMATCH"],
    ] as const)(
      "[S1] a peer %s is rejected with the reason, and its events reach nobody",
      (_, differences, code) =>
        withPair(async (a, b) => {
          const stranger = await start("stranger", differences);
          stranger.perform({ type: "dial", dial: 6, address: b.identity.address });
          const rejected = { type: "dial-failed", dial: 6, failure: "rejected", code };
          expect(await stranger.next()).toEqual(rejected);
          a.perform({ type: "dial", dial: 6, address: stranger.identity.address });
          expect(await a.next()).toEqual(rejected);
          await link(a, b);
          expect(stranger.events).toEqual([]);
          await stranger.close();
        }),
    );
  });

  describe(`${name} carries messages`, () => {
    test("[G1] what is sent within one turn arrives as one frame and in order", () =>
      withPair(async (a, b) => {
        const { near, far } = await link(a, b);
        for (let index = 0; index < 100; index += 1) {
          a.perform({ type: "send", links: [near], message: done(index) });
        }
        expect(await b.next()).toEqual({
          type: "received",
          link: far,
          messages: Array.from({ length: 100 }, (_, index) => done(index)),
          refused: 0,
        });
      }));

    test("messages of many turns arrive in the order they were sent, in both directions", () =>
      withPair(async (a, b) => {
        const { near, far } = await link(a, b);
        const sent = Array.from({ length: 200 }, (_, index) => done(index));
        for (const message of sent) {
          a.perform({ type: "send", links: [near], message });
          b.perform({ type: "send", links: [far], message });
          await a.turn();
        }
        expect(await takeMessages(b, sent.length)).toEqual(sent);
        expect(await takeMessages(a, sent.length)).toEqual(sent);
      }));

    test("one message goes to several links", () =>
      withPair(async (a, b) => {
        const c = await start("c");
        const links = [(await link(a, b)).near, (await link(a, c)).near];
        a.perform({ type: "send", links, message: done(1) });
        expect(await takeMessages(b, 1)).toEqual([done(1)]);
        expect(await takeMessages(c, 1)).toEqual([done(1)]);
        await c.close();
      }));

    test("[G1] much in one turn arrives in several frames and in order", () =>
      withPair(async (a, b) => {
        const { near } = await link(a, b);
        const sent = [done(1), bulk(1), bulk(2), done(2), bulk(3)];
        for (const message of sent) a.perform({ type: "send", links: [near], message });
        const first = await take(b, "received");
        expect(first.messages.length).toBeLessThan(sent.length);
        const rest = await takeMessages(b, sent.length - first.messages.length);
        expect([...first.messages, ...rest]).toEqual(sent);
      }));

    test("[G6] a reader that has stopped is noticed, and again when it reads on", () =>
      withPair(async (a, b) => {
        const { near } = await link(a, b);
        b.stall();
        const sent: Message[] = [];
        while (a.events.length === 0) {
          expect(sent.length, "messages until the link is congested").toBeLessThan(400);
          const message = bulk(sent.length);
          sent.push(message);
          a.perform({ type: "send", links: [near], message });
          await a.turn();
        }
        expect(await a.next()).toEqual({ type: "link-congested", link: near });
        b.unstall();
        expect(await takeMessages(b, sent.length)).toEqual(sent);
        expect(await a.next()).toEqual({ type: "link-drained", link: near });
      }));
  });

  describe(`${name} ends links`, () => {
    test.each(["LEAVING", "DUPLICATE", "NAME_TAKEN", "CLOCK_DRIFT", "CLOSED"] as const)(
      "a link closed with %s is cleanly closed with it at both ends, behind what was sent",
      (code) =>
        withPair(async (a, b) => {
          const { near, far } = await link(a, b);
          a.perform({ type: "send", links: [near], message: done(1) });
          a.perform({ type: "close", link: near, code });
          expect(a.events).toEqual([]);
          expect(await takeMessages(b, 1)).toEqual([done(1)]);
          expect(await b.next()).toEqual({ type: "link-closed", link: far, clean: true, code });
          expect(await a.next()).toEqual({ type: "link-closed", link: near, clean: true, code });
        }),
    );

    test("what was in flight when a link was closed still arrives", () =>
      withPair(async (a, b) => {
        const { near, far } = await link(a, b);
        b.perform({ type: "send", links: [far], message: done(1) });
        a.perform({ type: "close", link: near, code: "DUPLICATE" });
        expect(await takeMessages(a, 1)).toEqual([done(1)]);
        expect(await a.next()).toMatchObject({ type: "link-closed", link: near });
      }));

    test("[S9] a silent link is cut without a word, and its other end is not told why", () =>
      withPair(async (a, b) => {
        const { near, far } = await link(a, b);
        a.perform({ type: "close", link: near, code: "TIMEOUT", silent: true });
        expect(await a.next()).toMatchObject({ type: "link-closed", link: near });
        expect(await b.next()).toEqual({ type: "link-closed", link: far, clean: false });
      }));

    test("[F5] the links of a killed process end uncleanly, and it refuses to be dialled", () =>
      withPair(async (a, b) => {
        const { near } = await link(a, b);
        await b.kill();
        expect(await a.next()).toEqual({ type: "link-closed", link: near, clean: false });
        a.perform({ type: "dial", dial: 2, address: b.identity.address });
        expect(await a.next()).toEqual({ type: "dial-failed", dial: 2, failure: "refused" });
      }));

    test("effects for a link that is gone do nothing", () =>
      withPair(async (a, b) => {
        const { near } = await link(a, b);
        a.perform({ type: "close", link: near, code: "LEAVING" });
        await take(a, "link-closed");
        a.perform({ type: "send", links: [near, 999], message: done(1) });
        a.perform({ type: "close", link: near, code: "LEAVING" });
        await take(b, "link-closed");
        const again = await link(a, b);
        a.perform({ type: "send", links: [near, again.near], message: done(2) });
        expect(await takeMessages(b, 1)).toEqual([done(2)]);
      }));

    test("a transport that closes says so on its links, and tells its own sink nothing", () =>
      withPair(async (a, b) => {
        const { near, far } = await link(a, b);
        a.perform({ type: "send", links: [near], message: done(1) });
        await a.close();
        expect(await takeMessages(b, 1)).toEqual([done(1)]);
        const code = "CLOSED";
        expect(await b.next()).toEqual({ type: "link-closed", link: far, clean: true, code });
        expect(a.events).toEqual([]);
      }));
  });
}
