import fc from "fast-check";
import { expect, test } from "vitest";
import { Channels } from "../../src/items/channels.ts";

/** Two ends of a conversation. `takes` is how many posts are taken before one is not. */
function pair(takes = Number.POSITIVE_INFINITY) {
  const posts: Uint8Array[] = [];
  const received: Uint8Array[] = [];
  let left = takes;
  const hooks = { lost: () => {}, opened: () => {}, due: () => {} };
  const port = { need: () => {}, release: () => {} };
  const post = (_to: string, body: Uint8Array): boolean => {
    if (left === 0) return false;
    left -= 1;
    posts.push(body);
    return true;
  };
  const a = new Channels({ ...port, post }, { ...hooks, received: () => {} });
  const b = new Channels(
    { ...port, post: () => true },
    { ...hooks, received: (_from, message) => void received.push(message) },
  );
  const deliver = (): void => {
    for (const body of posts.splice(0)) b.posted("a", body);
  };
  const reopen = (): void => {
    left = takes;
    a.opened("b");
  };
  return { a, b, posts, received, deliver, reopen };
}

const message = fc
  .tuple(fc.constantFrom(0, 1, 7, 600, 300_000, 524_288, 1_200_000), fc.nat(255))
  .map(([length, fill]) => new Uint8Array(length).fill(fill));

test("[N1] messages arrive in order and whole, however large, and however posts are taken", () => {
  const turns = fc.array(fc.array(message, { maxLength: 6 }), { maxLength: 5 });
  fc.assert(
    fc.property(turns, fc.integer({ min: 1, max: 3 }), (said, takes) => {
      const { a, received, posts, deliver, reopen } = pair(takes);
      for (const messages of said) {
        for (const each of messages) a.send("b", each);
        a.flush();
      }
      for (deliver(), reopen(); posts.length > 0; deliver(), reopen());
      const all = said.flat();
      expect(received.map(({ length }) => length)).toEqual(all.map(({ length }) => length));
      expect(received.map(([first]) => first)).toEqual(all.map(([first]) => first));
    }),
    { numRuns: 60 },
  );
});

test("[G1] what one turn says to one peer is one post", () => {
  const { a, posts } = pair();
  for (let each = 0; each < 100; each += 1) a.send("b", Uint8Array.of(each));
  expect(posts).toEqual([]);
  a.flush();
  a.flush();
  expect(posts.length).toBe(1);
});

test("[S5] a post of several messages that is cut or makes no sense throws nothing", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const { b, received } = pair();
      b.posted("a", Uint8Array.of(4, ...bytes));
      const total = received.reduce((sum, { length }) => sum + length + 4, 0);
      expect(total).toBeLessThanOrEqual(bytes.length);
    }),
  );
});
