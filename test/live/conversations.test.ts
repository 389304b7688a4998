import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Conversations, type Frame, UNHEARD_MAX } from "../../src/live/conversations.ts";

const bytes = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 255);
const numberOf = ([high = 0, low = 0]: Uint8Array): number => high * 256 + low;

interface End {
  readonly name: string;
  conversations: Conversations;
  /** What was sent in the conversation that stands, and what was heard. */
  sent: number[];
  heard: number[];
  readonly log: { from: string; frame: Frame }[];
  losses: number;
}

/** Two ends, each with a log that may lose, repeat and keep what it likes. */
class Pair {
  now = 0;
  #sessions = 0;
  #numbers = 0;
  /** All that was ever said in a session. */
  readonly #said = new Map<string, number[]>();
  readonly a = this.#end("a");
  readonly b = this.#end("b");

  other(end: End): End {
    return end === this.a ? this.b : this.a;
  }

  /** A new life of one end: it remembers nothing. */
  restart(end: End): void {
    end.conversations = this.#conversations();
    end.sent = [];
    end.heard = [];
    if (end === this.a) this.need();
  }

  need(): void {
    this.a.conversations.need(new Set(["b"]), this.now);
    this.carry(this.a);
  }

  send(end: End): void {
    const to = this.other(end).name;
    if (!end.conversations.canSend(to)) return;
    this.#numbers += 1;
    expect(end.conversations.send(to, bytes(this.#numbers), this.now)).toBe(true);
    end.sent.push(this.#numbers);
    this.carry(end);
  }

  /** Reads the first entries of an end's log. */
  read(end: End, count = 1): void {
    for (const { from, frame } of end.log.splice(0, count)) {
      end.conversations.received(from, frame, this.now);
      this.carry(end, frame.session);
    }
  }

  carry(end: End, session?: string): void {
    const other = this.other(end);
    for (const [to, frame] of end.conversations.takeFrames()) {
      expect(to).toBe(other.name);
      other.log.push({ from: end.name, frame });
      if (frame.body === undefined) continue;
      const said = this.#said.get(frame.session) ?? [];
      this.#said.set(frame.session, said);
      said.push(numberOf(frame.body));
    }
    for (const happening of end.conversations.takeHappenings()) {
      expect(happening.peer).toBe(other.name);
      if (happening.type === "lost") {
        end.losses += 1;
        end.sent = [];
        end.heard = [];
      } else if (happening.type === "message") {
        const number = numberOf(happening.body);
        // The next one of its session, and no other.
        if (session !== undefined) expect(number).toBe(this.#said.get(session)?.[end.heard.length]);
        end.heard.push(number);
      }
    }
  }

  pass(ms: number): void {
    this.now += ms;
    for (const end of [this.a, this.b]) {
      end.conversations.tick(this.now);
      this.carry(end);
    }
  }

  /** Everything arrives, for as long as it takes. */
  settle(): void {
    for (let turn = 0; turn < 80; turn += 1) {
      for (const end of [this.a, this.b]) this.read(end, end.log.length);
      this.pass(250);
    }
  }

  #conversations(): Conversations {
    return new Conversations(() => {
      this.#sessions += 1;
      return `s${this.#sessions}`;
    });
  }

  #end(name: string): End {
    return {
      ...{ name, conversations: this.#conversations(), sent: [], heard: [], log: [] },
      losses: 0,
    };
  }
}

describe("conversations over a log", () => {
  test("[V14] what is sent arrives in order, each once, and who needs nobody is forgotten", () => {
    const pair = new Pair();
    pair.need();
    pair.settle();
    for (let n = 0; n < 300; n += 1) {
      pair.send(pair.a);
      pair.send(pair.b);
      pair.read(pair.a, 9);
      pair.read(pair.b, 9);
    }
    pair.settle();
    expect(pair.b.heard).toEqual(pair.a.sent);
    expect(pair.a.heard).toEqual(pair.b.sent);
    expect(pair.a.sent.length).toBe(300);
    expect([pair.a.losses, pair.b.losses]).toEqual([0, 0]);
    pair.a.conversations.need(new Set(), pair.now);
    pair.settle();
    expect([pair.a.losses, pair.b.losses]).toEqual([1, 1]);
    expect(pair.a.log).toEqual([]);
  });

  test("[V14] a conversation is open after one round trip, and what is late does not end it", () => {
    const pair = new Pair();
    pair.need();
    const [hello] = pair.b.log;
    pair.read(pair.b);
    pair.read(pair.a);
    expect([pair.a, pair.b].map((end) => end.conversations.canSend(pair.other(end).name))).toEqual([
      true,
      true,
    ]);
    pair.a.conversations.failed("b", pair.now);
    pair.carry(pair.a);
    pair.settle();
    expect([pair.a.losses, pair.b.losses]).toEqual([1, 1]);
    if (hello !== undefined) pair.b.log.push(hello);
    pair.settle();
    expect([pair.a.losses, pair.b.losses]).toEqual([1, 1]);
  });

  test("[V14] what has not been heard is bounded, and there is room again once it is", () => {
    const pair = new Pair();
    pair.need();
    pair.settle();
    for (let n = 0; n < 1000; n += 1) pair.send(pair.b);
    expect(pair.b.sent.length).toBe(UNHEARD_MAX);
    expect(pair.a.log.length).toBe(UNHEARD_MAX);
    pair.settle();
    expect(pair.b.conversations.canSend("a")).toBe(true);
    expect(pair.a.heard).toEqual(pair.b.sent);
  });

  test("[V14] an end that is gone for longer than it may be silent is lost to the other", () => {
    const pair = new Pair();
    pair.need();
    pair.settle();
    for (let n = 0; n < 40; n += 1) {
      pair.pass(250);
      pair.b.log.length = 0;
      pair.a.log.length = 0;
    }
    expect([pair.a.losses > 0, pair.b.losses]).toEqual([true, 1]);
    pair.settle();
    pair.send(pair.a);
    pair.settle();
    expect(pair.b.heard).toEqual(pair.a.sent);
  });

  test("[V14] frames that nobody can have sent end a conversation at most", () => {
    const count = fc.integer({ min: 0, max: 5 });
    const session = fc.constantFrom("", "s1", "s2", "s3", "s4", "x");
    const frame = fc.record({
      ...{ session, about: session, count, heard: count },
      body: fc.option(fc.uint8Array({ maxLength: 3 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), (frames) => {
        const pair = new Pair();
        pair.need();
        pair.settle();
        for (const each of frames) pair.a.conversations.received("b", each, pair.now);
        pair.carry(pair.a);
        pair.settle();
        pair.send(pair.b);
        pair.settle();
        expect(pair.a.heard.at(-1)).toBe(pair.b.sent.at(-1));
        expect(pair.b.sent.length).toBeGreaterThan(0);
      }),
    );
  });

  test("[V14] whatever a log loses or repeats, nothing is missing between opened and lost", () => {
    const command = fc.oneof(
      ...(["send", "read", "readAll"] as const).map((type) => ({
        weight: 6,
        arbitrary: fc.record({ type: fc.constant(type), isA: fc.boolean() }),
      })),
      ...(["drop", "repeat", "flush", "fail", "restart"] as const).map((type) => ({
        weight: 1,
        arbitrary: fc.record({ type: fc.constant(type), isA: fc.boolean() }),
      })),
      {
        weight: 3,
        arbitrary: fc.record({ type: fc.constant("pass" as const), isA: fc.boolean() }),
      },
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const pair = new Pair();
        pair.need();
        for (const { type, isA } of commands) {
          const end = isA ? pair.a : pair.b;
          if (type === "send") pair.send(end);
          else if (type === "read") pair.read(end);
          else if (type === "readAll") pair.read(end, 99);
          else if (type === "drop") end.log.shift();
          else if (type === "flush") end.log.length = 0;
          else if (type === "repeat") end.log.push(...end.log.slice(-3));
          else if (type === "restart") pair.restart(end);
          else if (type === "pass") pair.pass(700);
          else {
            end.conversations.failed(pair.other(end).name, pair.now);
            pair.carry(end);
          }
        }
        pair.settle();
        for (const end of [pair.a, pair.b]) {
          // What the other end believes to have said in the conversation that stands has been heard.
          expect(end.heard).toEqual(pair.other(end).sent);
        }
        pair.send(pair.a);
        pair.send(pair.b);
        pair.settle();
        for (const end of [pair.a, pair.b]) {
          expect(end.heard).toEqual(pair.other(end).sent);
          expect(end.heard.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
