/**
 * Hosts and asks as users give them: read, or refused with what is wrong; and how an ask is made.
 */

import { isWellFormed } from "./core/canonical.ts";
import { HearsayError } from "./core/error.ts";
import type { HostTraits } from "./core/host-task.ts";
import { ASK_TIMEOUT_MS_MAX, ENTITY_LENGTH_MAX } from "./core/limits.ts";
import { NAME_PATTERN, type ShardId } from "./core/units.ts";
import { SERVICE_ENTITY } from "./core/work.ts";
import type { AskOptions, Host } from "./host.ts";
import type { RunnableHost } from "./io/host-runner.ts";
import type { AskRequest, Life } from "./io/life.ts";
import { type Body, decodeBody, encodeBody } from "./wire/body.ts";

/** How long an answer is waited for, in ms, unless the user says otherwise. */
const ASK_TIMEOUT_MS = 5000;

/** The shortest idleness after which an entity is passivated, in ms. */
const PASSIVATE_AFTER_MS_MIN = 1000;

const REQUIRED = ["onAcquire", "onMessage", "onRelease"] as const;
const OPTIONAL = ["exportState", "importState", "onPassivate"] as const;

/** A host, and what it can do. */
export interface RegisteredHost {
  readonly host: RunnableHost;
  readonly traits: HostTraits;
}

/** Throws TypeError or RangeError for what is no host. */
export function readHost(host: Host): RegisteredHost {
  if (typeof host !== "object" || host === null) throw wrong("host is no object");
  for (const name of REQUIRED) {
    if (typeof host[name] !== "function") throw wrong(`${name} is no function`);
  }
  for (const name of OPTIONAL) {
    if (host[name] !== undefined && typeof host[name] !== "function") {
      throw wrong(`${name} is no function`);
    }
  }
  const { remember = false, passivateAfterMs = Number.POSITIVE_INFINITY } = host;
  if (typeof remember !== "boolean") throw wrong("remember is not true or false");
  if (typeof passivateAfterMs !== "number") throw wrong("passivateAfterMs is not a number");
  if (!(passivateAfterMs >= PASSIVATE_AFTER_MS_MIN)) {
    throw new RangeError(`Cannot host: passivateAfterMs is less than ${PASSIVATE_AFTER_MS_MIN} ms`);
  }
  const traits: HostTraits = {
    exports: host.exportState !== undefined,
    imports: host.importState !== undefined,
    remembers: remember,
    passivateAfterMs,
  };
  return { host: host as RunnableHost, traits };
}

/**
 * Asks a shard by the present life of a peer. Not `async`, which would cost as much again as everything
 * else that happens here.
 */
export function askOf(
  lifeNow: () => Life,
  what: "ask" | "tell",
  shard: ShardId,
  message: Body,
  options: AskOptions,
): Promise<Body> {
  return new Promise((resolve, reject) => {
    const request = readAsk(what, shard, message, options);
    const { signal } = options;
    if (signal?.aborted === true) return reject(signal.reason);
    const done = (): void => signal?.removeEventListener("abort", abort);
    const giveUp = lifeNow().ask(request, {
      answered: (bytes) => {
        done();
        const answer = decodeBody(bytes);
        if (answer !== undefined) resolve(answer.body);
        else reject(new HearsayError("HANDLER_FAILED", "The answer is malformed"));
      },
      failed: (error) => {
        done();
        reject(error);
      },
    });
    const abort = (): void => {
      giveUp();
      done();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort);
  });
}

/** Throws TypeError or RangeError for misuse, and `BAD_REQUEST` for a message that cannot be sent. */
function readAsk(what: string, shard: ShardId, message: Body, options: AskOptions): AskRequest {
  const { entity = "", timeoutMs = ASK_TIMEOUT_MS } = options;
  if (typeof shard !== "string" || !NAME_PATTERN.test(shard)) {
    throw new TypeError(`Cannot ${what}: the shard is no name of 1 to 64 characters`);
  }
  if (typeof entity !== "string") throw new TypeError(`Cannot ${what}: the entity is no string`);
  const isService = entity.startsWith(SERVICE_ENTITY);
  if (entity.length > ENTITY_LENGTH_MAX || !isWellFormed(entity) || isService) {
    const limit = `well-formed text of at most ${ENTITY_LENGTH_MAX} characters, none before U+0001`;
    throw new RangeError(`Cannot ${what}: the entity is not ${limit}`);
  }
  if (!(timeoutMs >= 1 && timeoutMs <= ASK_TIMEOUT_MS_MAX)) {
    throw new RangeError(`Cannot ${what}: timeoutMs is not from 1 to ${ASK_TIMEOUT_MS_MAX}`);
  }
  const body = encodeBody(message);
  if ("bytes" in body) return { shard, entity, timeoutMs, body: body.bytes };
  const code = body.isTooLarge ? "FRAME_TOO_LARGE" : "BAD_REQUEST";
  throw new HearsayError(code, `Cannot ${what} with a message that ${body.reason}`);
}

function wrong(what: string): TypeError {
  return new TypeError(`Cannot host: ${what}`);
}
