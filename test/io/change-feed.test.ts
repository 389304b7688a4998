import { expect, test } from "vitest";
import type { Change } from "../../src/core/effect.ts";
import { ChangeFeed } from "../../src/io/change-feed.ts";

const change = (number: number): Change => ({
  ...{ type: "warning", code: "TIMEOUT", message: `${number}` },
});

async function readAll(changes: AsyncIterable<Change>): Promise<Change[]> {
  const read: Change[] = [];
  for await (const each of changes) read.push(each);
  return read;
}

test("a listener hears of its type, once for each change, until it is taken off", () => {
  const feed = new ChangeFeed();
  const heard: Change[] = [];
  const listener = (each: Change): void => void heard.push(each);
  feed.on("warning", listener);
  feed.on("warning", listener);
  feed.on("ready", listener);
  feed.publish(change(1));
  feed.publish({ type: "release", shard: "s", to: undefined });
  feed.off("warning", listener);
  feed.publish(change(2));
  feed.publish({ type: "ready", how: "founded" });
  expect(heard).toEqual([change(1), { type: "ready", how: "founded" }]);
  expect(() => feed.on("ready", undefined as never)).toThrow(TypeError);
});

test("a watcher gets every change from its call on, in order, before and after it waits", async () => {
  const feed = new ChangeFeed();
  feed.publish(change(0));
  const watcher = feed.watch();
  const waited = watcher.next();
  for (const number of [1, 2, 3]) feed.publish(change(number));
  expect(await waited).toEqual({ done: false, value: change(1) });
  feed.close();
  feed.publish(change(4));
  expect(await readAll(watcher)).toEqual([change(2), change(3)]);
});

test("watchers do not take changes from each other", async () => {
  const feed = new ChangeFeed();
  const watchers = [feed.watch(), feed.watch()];
  feed.publish(change(1));
  feed.close();
  expect(await Promise.all(watchers.map(readAll))).toEqual([[change(1)], [change(1)]]);
});

test("a watch ends with its signal, with a break, and with a feed that is closed", async () => {
  const feed = new ChangeFeed();
  const controller = new AbortController();
  const aborted = feed.watch(controller.signal);
  const waited = aborted.next();
  controller.abort();
  expect(await waited).toEqual({ done: true, value: undefined });
  feed.publish(change(1));
  expect(await readAll(aborted)).toEqual([]);
  expect(await readAll(feed.watch(AbortSignal.abort()))).toEqual([]);

  const broken = feed.watch();
  feed.publish(change(1));
  feed.publish(change(2));
  for await (const _ of broken) break;
  expect(await readAll(broken)).toEqual([]);

  feed.close();
  expect(await readAll(feed.watch())).toEqual([]);
});

test("[S4] a watcher that leaves too much unread gets what was kept, and then an error", async () => {
  const feed = new ChangeFeed(3);
  const slow = feed.watch();
  const fast = feed.watch();
  const taken: Change[] = [];
  for (let number = 1; number <= 5; number += 1) {
    feed.publish(change(number));
    const { value } = await fast.next();
    if (value !== undefined) taken.push(value);
  }
  expect(taken).toEqual([1, 2, 3, 4, 5].map(change));
  const read: Change[] = [];
  const reading = (async () => {
    for await (const each of slow) read.push(each);
  })();
  await expect(reading).rejects.toMatchObject({ code: "BUFFER_FULL" });
  expect(read).toEqual([1, 2, 3].map(change));
  expect(await slow.next()).toEqual({ done: true, value: undefined });
});
