/**
 * Makes a failing run as small as it can be while it still fails.
 *
 * One thing at a time is taken away: kinds of fault, then peers, shards and calls, then time. What
 * still fails is kept and the search begins anew, until nothing can be taken away. Each try is a whole
 * run, so the number of tries is bounded.
 */
import { drawOptions, type RunOptions, type RunRequest } from "./options.ts";

export interface Shrunk {
  readonly request: RunRequest;
  readonly tries: number;
}

/** `fails` says whether a request still fails; `request` is known to. */
export function shrink(
  request: RunRequest,
  fails: (request: RunRequest) => boolean,
  triesMax = 200,
): Shrunk {
  let smallest = drawOptions(request);
  let tries = 0;
  for (let isSmaller = true; isSmaller && tries < triesMax; ) {
    isSmaller = false;
    for (const candidate of candidates(smallest)) {
      if (tries >= triesMax) break;
      tries += 1;
      if (!fails(candidate)) continue;
      smallest = candidate;
      isSmaller = true;
      break;
    }
  }
  return { request: smallest, tries };
}

function* candidates(options: RunOptions): Generator<RunOptions> {
  const { faults, peers, shards, durationMs, operationEveryMs, startSpreadMs, diskMs } = options;
  for (const kind of faults) yield { ...options, faults: faults.filter((other) => other !== kind) };
  if (options.lossProbability > 0) yield { ...options, lossProbability: 0 };
  if (options.duplicateProbability > 0) yield { ...options, duplicateProbability: 0 };
  if (options.isCoreHealed) yield { ...options, isCoreHealed: false };
  if (peers > 2) yield { ...options, peers: peers - 1 };
  if (shards > 1) yield { ...options, shards: Math.ceil(shards / 2) };
  if (diskMs > 0) yield { ...options, diskMs: 0 };
  if (startSpreadMs > 0) yield { ...options, startSpreadMs: 0 };
  if (operationEveryMs < 1e6) yield { ...options, operationEveryMs: operationEveryMs * 4 };
  if (options.faultEveryMs < 1e5) yield { ...options, faultEveryMs: options.faultEveryMs * 2 };
  if (durationMs > 1000) yield { ...options, durationMs: Math.floor(durationMs / 2) };
  if (durationMs > 1000) yield { ...options, durationMs: Math.floor(durationMs * 0.8) };
}
