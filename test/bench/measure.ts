/**
 * How the benches measure: medians of interleaved rounds, and memory after garbage collection.
 *
 * The machine is shared and noisy, so no figure stands alone. Contestants take turns, round by round,
 * and what slows one round slows all of them; the median leaves out the rounds that were hit. What is
 * compared are contestants of one run.
 */

/** The middle one, of an even number the lower of the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The lowest value that at least `share` (0 to 1) of all do not exceed. NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The monotonic clock, in ms. On Linux all processes of a machine have the same. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** How long `work` takes, in ms. */
export function elapsedMs(work: () => void): number {
  const start = nowMs();
  work();
  return nowMs() - start;
}

/**
 * Has every contestant measure itself once a round, in turns, and returns the median of what each
 * found. The first `warmUps` rounds do not count.
 */
export function medianOfRounds<Name extends string>(
  contestants: Readonly<Record<Name, () => number>>,
  { rounds, warmUps = 2 }: { readonly rounds: number; readonly warmUps?: number },
): Record<Name, number> {
  const names = Object.keys(contestants) as Name[];
  const found = names.map((): number[] => []);
  for (let round = -warmUps; round < rounds; round += 1) {
    names.forEach((name, index) => {
      const value = contestants[name]();
      if (round >= 0) found[index]?.push(value);
    });
  }
  const medians = names.map((name, index) => [name, median(found[index] ?? [])] as const);
  return Object.fromEntries(medians) as Record<Name, number>;
}

/** Bytes that are in use for what `make` returns, on the heap and beside it. */
export function retainedBytes(make: () => object): number {
  collectGarbage();
  const before = usedBytes();
  const made = make();
  collectGarbage();
  const after = usedBytes();
  keepAlive(made); // What was measured must not be garbage before it was measured.
  return after - before;
}

function keepAlive(_: object): void {}

function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage(); // `external` contains array buffers.
  return heapUsed + external;
}

/** Frees what nobody needs. Buffers are freed by the second collection after their object's. */
function collectGarbage(): void {
  if (gc === undefined) throw new Error("Cannot measure memory: node runs without --expose-gc");
  for (let pass = 0; pass < 3; pass += 1) gc();
}
