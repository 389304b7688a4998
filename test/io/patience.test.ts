import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { afterListening } from "../../src/io/patience.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("[S9] it runs after its time, and not before", () => {
  const run = vi.fn();
  afterListening(500, run);
  vi.advanceTimersByTime(499);
  expect(run).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2);
  expect(run).toHaveBeenCalledTimes(1);
});

test("[S9] a loop that was blocked for long has used up one part of it", () => {
  const run = vi.fn();
  afterListening(500, run);
  // A turn in which timers fire once, however late: what they set then fires in a later turn.
  vi.setSystemTime(Date.now() + 10_000);
  vi.runOnlyPendingTimers();
  expect(run).not.toHaveBeenCalled();
  vi.advanceTimersByTime(451);
  expect(run).toHaveBeenCalledTimes(1);
});

test("[S9] what is cancelled does not run", () => {
  const run = vi.fn();
  const cancel = afterListening(500, run);
  vi.advanceTimersByTime(300);
  cancel();
  vi.advanceTimersByTime(10_000);
  expect(run).not.toHaveBeenCalled();
});
