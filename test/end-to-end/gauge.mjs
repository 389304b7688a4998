/**
 * Loaded into a process before everything else: tells its parent, when asked, how much memory it has and
 * for how long its event loop stood still since the last time.
 *
 * What counts is what the process itself did meanwhile: of the time between two ticks no more than what it
 * used of a processor. On a machine that is busy with others a loop stands still through no fault of its own.
 */
const TICK_MS = 5;

const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

let last = { atMs: performance.now(), usedMs: cpuMs() };
let delayMs = 0;
let peakRss = 0;

function tick() {
  const present = { atMs: performance.now(), usedMs: cpuMs() };
  const stoodMs = Math.min(present.atMs - last.atMs, present.usedMs - last.usedMs);
  delayMs = Math.max(delayMs, stoodMs);
  last = present;
}

setInterval(tick, TICK_MS).unref();

setInterval(() => {
  peakRss = Math.max(peakRss, process.memoryUsage.rss());
}, 50).unref();

process.on("message", (question) => {
  if (question !== "gauge") return;
  tick();
  const seen = delayMs;
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const memory = { rss, peakRss: Math.max(rss, peakRss), live: heapUsed + external };
  process.send?.({ gauge: { ...memory, delayMs: seen } });
  last = { atMs: performance.now(), usedMs: cpuMs() }; // Collecting garbage on demand does not count.
  delayMs = 0;
  peakRss = 0;
});
