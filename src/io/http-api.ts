/**
 * The routes of the HTTP API.
 *
 * Each route reads what it was sent, calls the peer, and gives back what the command line prints with
 * `--json`. Bodies have one field at most, and are read by hand; a name that cannot be one is refused
 * here, so that no message ever quotes what a stranger sent. `__proto__` is an ordinary document.
 *
 * A page of another origin may send requests from a browser on this machine without reading the
 * answers. So a request that says where it comes from must come from here, unless it only reads.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { HearsayError } from "../core/error.ts";
import { NAME_PATTERN } from "../core/units.ts";
import { EventStreams } from "./events-stream.ts";
import { answerTo, answerWith, type ErrorAnswer, FAULT } from "./http-errors.ts";
import { INDEX_PAGE } from "./index-page.ts";
import type { ServedPeer } from "./served-peer.ts";
import { PEER_PATH } from "./websocket-transport.ts";

/** Size of a body, in bytes. The largest that means anything has about 100. */
const BODY_BYTES_MAX = 16_384;

/** Length of a part of a path that is a parameter: the longest name there is, and each character of it escaped. */
const PARAMETER_LENGTH_MAX = 192;

export interface HttpApiOptions {
  readonly served: ServedPeer;
  /** A request failed by a fault of this peer. */
  readonly onFault: (error: unknown) => void;
}

/** Makes what answers requests. Keeps nothing open by itself. */
export async function createHttpApi({
  served,
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
  app.addHook("onRequest", async (request) => refuseForeignPage(request));
  readJsonOnly(app);
  addHealth(app, served);
  addReads(app, served);
  addWrites(app, served);
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
    reply.type("text/html; charset=utf-8").send(INDEX_PAGE);
  });
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async () => {
    const { ready, why } = served.status();
    if (!ready) throw new HearsayError("NOT_READY", `Not ready: ${why}`);
    return { status: "ready" };
  });
  app.get("/metrics", async (_request, reply) => {
    const { metricsOf, METRICS_CONTENT_TYPE } = await import("./metrics.ts");
    reply.type(METRICS_CONTENT_TYPE);
    return metricsOf(served);
  });
  app.get(PEER_PATH, (_request, reply) => {
    reply.header("upgrade", "websocket");
    send(reply, answerWith(426));
  });
}

function addReads(app: FastifyInstance, served: ServedPeer): void {
  app.get("/v1/status", async () => served.status());
  app.get("/v1/members", async () => served.members());
  app.get("/v1/allocations", async () => served.allocations());
  app.get("/v1/shards", async () => served.shards());
  app.get("/v1/route", async (request) => {
    return documentsOf(request.query).map((document) => {
      const { shard = null, allocation } = served.locate(document);
      const { region = null, token = null, writer = null } = allocation ?? {};
      return { document, shard, region, token, writer }; // [R1, R5]
    });
  });
  const streams = new EventStreams();
  app.get("/v1/events", { exposeHeadRoute: false }, (_request, reply) => {
    streams.start(reply.raw, served, () => reply.hijack());
  });
}

function addWrites(app: FastifyInstance, served: ServedPeer): void {
  app.put("/v1/allocations/:shard", async (request) => {
    const region = fieldOf(request.body, "region");
    return served.allocate(shardOf(request), checkedName("region", region));
  });
  app.delete("/v1/allocations/:shard", async (request) => {
    return { ...(await served.release(shardOf(request))), region: null };
  });
  app.post("/v1/rebalance", async (request) => {
    // A dry run that was asked for in the wrong place must not become a real one.
    if (Object.keys(request.query as object).length > 0)
      throw badRequest("dryRun goes into the body");
    const dryRun = fieldOf(request.body, "dryRun") ?? false;
    if (typeof dryRun !== "boolean") throw badRequest("dryRun is not true or false");
    return served.rebalance(dryRun);
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

function refuseForeignPage({ method, headers }: FastifyRequest): void {
  const { origin, host } = headers;
  if (origin === undefined || method === "GET" || method === "HEAD") return;
  if (URL.canParse(origin)) {
    // A name that somebody else serves can be made to lead here: only addresses are taken at their word.
    const own = new URL(origin);
    const isAddress =
      isIP(own.hostname.replace(/^\[|\]$/g, "")) > 0 || own.hostname === "localhost";
    if (own.host === host && isAddress) return;
  }
  throw new HearsayError("FORBIDDEN", "Cannot do this for a page of another origin");
}

function documentsOf(query: unknown): string[] {
  const { document } = query as { document?: string | string[] };
  if (document === undefined) throw badRequest("the query names no document");
  return typeof document === "string" ? [document] : document;
}

function shardOf(request: FastifyRequest): string {
  return checkedName("shard", (request.params as { shard: string }).shard);
}

/** A field of a body that may be absent; so may its field. */
function fieldOf(body: unknown, field: string): unknown {
  if (body === undefined) return undefined;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw badRequest("the body is not an object");
  }
  return Object.hasOwn(body, field) ? (body as Record<string, unknown>)[field] : undefined;
}

function checkedName(what: string, value: unknown): string {
  if (typeof value === "string" && NAME_PATTERN.test(value)) return value;
  throw badRequest(`${what} is not a name of 1 to 64 letters, digits, ".", "_" and "-"`);
}

function badRequest(what: string): HearsayError {
  return new HearsayError("BAD_REQUEST", `Cannot answer: ${what}`);
}
