/**
 * Loaded into a process before everything else: tells its parent, when asked, how much memory it has and
 * for how long its event loop stood still since the last time.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
let peakRss = 0;
setInterval(() => {
  peakRss = Math.max(peakRss, process.memoryUsage.rss());
}, 50).unref();

process.on("message", (question) => {
  if (question !== "gauge") return;
  const delayMs = delay.max / 1e6;
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  process.send?.({
    gauge: { rss, peakRss: Math.max(rss, peakRss), live: heapUsed + external, delayMs },
  });
  delay.reset();
  peakRss = 0;
});
