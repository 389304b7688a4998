/**
 * The routes of the HTTP API.
 *
 * Each route reads what it was sent, calls the peer, and gives back what the command line prints with
 * `--json`. Bodies have a field or three, and are read by hand; a name that cannot be one is refused
 * here, so that no message ever quotes what a stranger sent. `__proto__` is an ordinary document.
 *
 * A page of another origin may send requests from a browser on this machine without reading the
 * answers. So a request that says where it comes from must come from here, unless it only reads.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { HearsayError } from "../core/error.ts";
import { SHARDS_MAX } from "../core/limits.ts";
import { isMovesMax } from "../core/plan-settings.ts";
import { addCoordinator } from "./coordinator-routes.ts";
import { EventStreams } from "./events-stream.ts";
import { answerTo, answerWith, type ErrorAnswer, FAULT } from "./http-errors.ts";
import {
  badRequest,
  checkedName,
  fieldOf,
  frequenciesOf,
  objectOf,
  readInteger,
  shardOf,
  valuesOf,
} from "./http-fields.ts";
import { INDEX_HEADERS, indexPage } from "./index-page.ts";
import { isAllowedOrigin, type Origins } from "./origin.ts";
import { RPC_PATH } from "./rpc-channel.ts";
import type { ServedPeer } from "./served-peer.ts";
import { PEER_PATH } from "./websocket-transport.ts";

/** Size of a body, in bytes. But for vocabularies, the largest that means anything has about 100. */
const BODY_BYTES_MAX = 16_384;

/** Size of a body that holds the vocabulary of a shard, in bytes: half a million terms of any language. */
const VOCABULARY_BYTES_MAX = 8_388_608;

/** Length of a part of a path that is a parameter: the longest name there is, and each character of it escaped. */
const PARAMETER_LENGTH_MAX = 192;

export interface HttpApiOptions {
  readonly served: ServedPeer;
  /** Pages that may do more than read. */
  readonly origins: Origins;
  /** A request failed by a fault of this peer. */
  readonly onFault: (error: unknown) => void;
}

/** Makes what answers requests. Keeps nothing open by itself. */
export async function createHttpApi({
  served,
  origins,
  onFault,
}: HttpApiOptions): Promise<(request: IncomingMessage, response: ServerResponse) => void> {
  const fail = (error: unknown, reply: FastifyReply): void => {
    const answer = answerTo(error);
    if (answer === undefined) onFault(error);
    send(reply, answer ?? FAULT);
  };
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX, // [S4]
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    onProtoPoisoning: "ignore",
    onConstructorPoisoning: "ignore",
    frameworkErrors: (error, _request, reply) => fail(error, reply as unknown as FastifyReply),
  });
  app.setErrorHandler((error, _request, reply) => fail(error, reply));
  app.setNotFoundHandler((_request, reply) => send(reply, answerWith(404)));
  app.addHook("onRequest", async (request) => refuseForeignPage(request, origins));
  readJsonOnly(app);
  addHealth(app, served);
  addReads(app, served);
  addWrites(app, served);
  addCoordinator(app, served);
  served.addRoutes(app);
  await app.ready();
  return (request, response) => app.routing(request, response);
}

/** An absent body is fine wherever none of its fields must be there. */
function readJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const parse = async (_request: FastifyRequest, text: string): Promise<unknown> => {
    if (text === "") return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw badRequest("the body of the request is not JSON");
    }
  };
  app.addContentTypeParser("application/json", { parseAs: "string" }, parse);
}

function addHealth(app: FastifyInstance, served: ServedPeer): void {
  app.get("/", (_request, reply) => {
    reply.headers(INDEX_HEADERS).send(indexPage(served.hostsDocuments()));
  });
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async () => {
    const { ready, why, draining } = served.status();
    if (!ready) throw new HearsayError("NOT_READY", `Not ready: ${why}`);
    if (draining) throw new HearsayError("NOT_READY", "Not ready: it gives its shards away");
    return { status: "ready" };
  });
  app.get("/metrics", async (_request, reply) => {
    const { metricsOf, METRICS_CONTENT_TYPE } = await import("./metrics.ts");
    reply.type(METRICS_CONTENT_TYPE);
    return metricsOf(served);
  });
  for (const path of [PEER_PATH, RPC_PATH]) {
    app.get(path, (_request, reply) => {
      reply.header("upgrade", "websocket");
      send(reply, answerWith(426));
    });
  }
}

function addReads(app: FastifyInstance, served: ServedPeer): void {
  app.get("/v1/status", async () => {
    const documents = served.documents();
    return { ...served.status(), ...(documents === undefined ? {} : { documents }) };
  });
  app.get("/v1/members", async () => served.members());
  app.get("/v1/allocations", async () => served.allocations());
  app.get("/v1/shards", async () => served.shards());
  app.get("/v1/pins", async () => served.pins());
  app.get("/v1/route", async (request) => {
    return valuesOf(request.query, "document").map((document) => {
      const { shard = null, allocation } = served.locate(document);
      const { region = null, token = null, writer = null } = allocation ?? {};
      return { document, shard, region, token, writer }; // [R1, R5]
    });
  });
  app.get("/v1/df", async (request) => {
    const { documents, frequencies, ...coverage } = served.globalDf(
      valuesOf(request.query, "term"),
    );
    return { documents, frequencies: objectOf(frequencies), ...coverage };
  });
  app.get("/v1/search", async (request) => {
    const [words = ""] = valuesOf(request.query, "q");
    const { limit } = request.query as { limit?: unknown };
    const most = limit === undefined ? {} : { limit: readInteger("limit", limit, 1, 1000) };
    return served.search(words, most);
  });
  const streams = new EventStreams();
  app.get("/v1/events", { exposeHeadRoute: false }, (_request, reply) => {
    streams.start(reply.raw, served, () => reply.hijack());
  });
}

function addWrites(app: FastifyInstance, served: ServedPeer): void {
  app.put("/v1/allocations/:shard", async (request) => {
    const region = checkedName("region", fieldOf(request.body, "region"));
    const pin = checkedFlag("pin", fieldOf(request.body, "pin"));
    return served.allocate(shardOf(request), region, { pin });
  });
  app.delete("/v1/allocations/:shard", async (request) => {
    return { ...(await served.release(shardOf(request))), region: null };
  });
  const options = { bodyLimit: VOCABULARY_BYTES_MAX };
  app.put("/v1/shards/:shard/frequencies", options, async (request) => {
    const documents = fieldOf(request.body, "documents") as number; // Judged with the terms.
    const terms = frequenciesOf(fieldOf(request.body, "terms"));
    return served.publishFrequencies(shardOf(request), { documents, terms });
  });
  app.post("/v1/rebalance", async (request) => {
    // A dry run that was asked for in the wrong place must not become a real one.
    if (Object.keys(request.query as object).length > 0)
      throw badRequest("dryRun goes into the body");
    const dryRun = checkedFlag("dryRun", fieldOf(request.body, "dryRun"));
    const strategy = fieldOf(request.body, "strategy");
    const movesMax = fieldOf(request.body, "movesMax");
    if (movesMax !== undefined && !isMovesMax(movesMax)) {
      throw badRequest(`movesMax is not null or an integer from 0 to ${SHARDS_MAX}`);
    }
    return served.rebalance({
      dryRun,
      ...(strategy !== undefined && { strategy: checkedName("strategy", strategy) }),
      ...(movesMax !== undefined && { movesMax }),
    });
  });
  app.post("/v1/regions/:region/drain", async (request) => {
    const region = checkedName("region", (request.params as { region: string }).region);
    const undo = checkedFlag("undo", fieldOf(request.body, "undo"));
    await served.drain(region, { undo });
    return { region, draining: !undo };
  });
  app.post("/v1/leave", async (_request, reply) => {
    await served.depart();
    // Whoever asked should hear of it before the port closes.
    reply.raw.once("close", () => served.leave());
    const { name, incarnation } = served.status();
    return { name, incarnation, status: "left" };
  });
}

function send(reply: FastifyReply, { status, body }: ErrorAnswer): void {
  reply.code(status).send(body);
}

function refuseForeignPage({ method, headers }: FastifyRequest, origins: Origins): void {
  if (method === "GET" || method === "HEAD" || isAllowedOrigin(headers, origins)) return;
  throw new HearsayError("FORBIDDEN", "Cannot do this for a page of another origin");
}

/** A field that is true or false, and false where it is absent. */
function checkedFlag(what: string, value: unknown): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw badRequest(`${what} is not true or false`);
}
