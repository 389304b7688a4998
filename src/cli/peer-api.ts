/**
 * Asks a running peer over HTTP, from another process.
 *
 * `node:http` and not `fetch`: a command should answer before a person notices, and loading the rest of
 * the web platform takes longer than the question. TLS is loaded when it is spoken. Whatever goes wrong on the way becomes a failure
 * with a code; what the peer itself refuses keeps the code that it gave.
 */
import { readFileSync } from "node:fs";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { createRequire } from "node:module";
import { parseAddress, splitUrl } from "../io/addresses.ts";
import type { DialOptions } from "../io/rpc-channel.ts";
import type { Call } from "./command.ts";
import { Failure, wrongUsage } from "./failure.ts";

/** How long a peer may take to answer, in ms. Far above any answer from memory. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Size of an answer, in bytes: a table of the most shards there may be is below 16 MB. */
const ANSWER_BYTES_MAX = 67_108_864;

/** Length of the part of a URL that names documents: Node refuses headers above 16 KB. */
const DOCUMENTS_LENGTH_MAX = 8000;

/** One line of `/v1/events`: a change, when it happened, and whatever belongs to it. */
export interface PeerEvent {
  readonly type: string;
  readonly atMs: number;
  readonly [field: string]: unknown;
}

/** A document and where it is. What is not known is null: there may be no shard, or no region for it. */
export interface RoutedDocument {
  readonly document: string;
  readonly shard: string | null;
  readonly region: string | null;
  readonly token: number | null;
  readonly writer: string | null;
}

/** What a command that asks a peer is called with. */
export type PeerCall = Call<"peer" | "ca">;

/** How a peer is asked. */
export interface PeerAccess {
  /** Shown with everything that is asked. Default none. */
  readonly token?: string | undefined;
  /** Whether over TLS. Default: not, unless the address begins with https. */
  readonly isSecure?: boolean;
  /** Authorities in PEM that its certificate must come from. Default: those of the system. */
  readonly ca?: string | undefined;
}

export class PeerApi {
  readonly address: string;
  readonly #access: PeerAccess;
  readonly #host: { readonly host: string; readonly port: number };
  readonly #request: typeof request;
  readonly #agent: Agent;
  readonly #authorization: Readonly<Record<string, string>>;

  /** The peer that a command names. Throws a `Failure` when the authority's file cannot be read. */
  static of({ settings: { peer, ca }, token }: PeerCall): PeerApi {
    if (ca === undefined) return new PeerApi(peer, { token });
    try {
      return new PeerApi(peer, { token, isSecure: true, ca: readFileSync(ca, "utf8") });
    } catch (error) {
      throw wrongUsage(`Cannot use --ca: ${(error as Error).message}`);
    }
  }

  /** How to reach the peer by a connection that stays. */
  get dial(): DialOptions {
    const { token, ca, isSecure } = this.#access;
    return { token, tls: isSecure === true ? { ca } : undefined };
  }

  constructor(peer: string, access: PeerAccess = {}) {
    const { scheme, address } = splitUrl(peer);
    const isSecure = access.isSecure ?? scheme === "https://";
    this.#access = { ...access, isSecure };
    const { token, ca } = access;
    this.#authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.address = address;
    this.#host = parseAddress(address);
    const options = { keepAlive: true, maxSockets: 4 };
    if (isSecure) {
      const https = createRequire(import.meta.url)("node:https") as typeof import("node:https");
      this.#agent = new https.Agent({ ...options, ...(ca === undefined ? {} : { ca }) });
      this.#request = https.request;
    } else {
      this.#agent = new Agent(options);
      this.#request = request;
    }
  }

  /** Another peer of the same cluster, asked in the same way. */
  other(address: string): PeerApi {
    return new PeerApi(address, this.#access);
  }

  /** Asks once and returns the answer's JSON value. Throws a `Failure`. */
  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const sent = this.#send(method, path, text);
    try {
      return await this.#answerOf(sent);
    } catch (error) {
      // The peer has closed a connection that was idle just when it was used again. Who only asks may ask anew.
      const isStale = sent.reusedSocket && (error as { code?: unknown }).code === "ECONNRESET";
      if (!isStale || method !== "GET") throw this.#failureOf(error);
    }
    try {
      return await this.#answerOf(this.#send(method, path, text));
    } catch (error) {
      throw this.#failureOf(error);
    }
  }

  async #answerOf(sent: ClientRequest): Promise<unknown> {
    const timeout = setTimeout(() => sent.destroy(new SilenceError()), ANSWER_TIMEOUT_MS);
    try {
      const response = await responseTo(sent);
      const answer = parseJson(await textOf(response));
      if ((response.statusCode ?? 500) < 400 && answer !== undefined) return answer;
      throw refusalOf(answer) ?? this.#stranger();
    } finally {
      clearTimeout(timeout);
    }
  }

  /** Where documents are, in the order asked; in as many requests as their names need. */
  async route(documents: readonly string[]): Promise<RoutedDocument[]> {
    const routes: RoutedDocument[] = [];
    let query: string[] = [];
    let length = 0;
    const flush = async (): Promise<void> => {
      if (query.length === 0) return;
      const answer = await this.ask("GET", `/v1/route?${query.join("&")}`);
      for (const route of answer as RoutedDocument[]) routes.push(route);
      query = [];
      length = 0;
    };
    for (const document of documents) {
      const parameter = `document=${encodeURIComponent(document)}`;
      if (length + parameter.length > DOCUMENTS_LENGTH_MAX) await flush();
      query.push(parameter);
      length += parameter.length + 1;
    }
    await flush();
    return routes;
  }

  /**
   * Resolves when the peer has begun to tell its changes; they follow until it goes away, which is a
   * failure, or until `signal` aborts.
   */
  async events(signal?: AbortSignal): Promise<AsyncGenerator<PeerEvent, void, undefined>> {
    const sent = this.#send("GET", "/v1/events", undefined);
    const timeout = setTimeout(() => sent.destroy(new SilenceError()), ANSWER_TIMEOUT_MS);
    const abort = (): void => void sent.destroy();
    signal?.addEventListener("abort", abort);
    sent.once("close", () => signal?.removeEventListener("abort", abort));
    if (signal?.aborted) abort();
    try {
      const response = await responseTo(sent);
      if (response.statusCode === 200) return this.#eventsOf(response, signal);
      throw refusalOf(parseJson(await textOf(response))) ?? this.#stranger();
    } catch (error) {
      throw this.#failureOf(error);
    } finally {
      clearTimeout(timeout);
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  #send(method: string, path: string, body: string | undefined): ClientRequest {
    const content =
      body === undefined
        ? { accept: "application/json, text/event-stream" }
        : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const headers = { ...content, ...this.#authorization };
    const sent = this.#request({ ...this.#host, method, path, headers, agent: this.#agent });
    sent.end(body);
    return sent;
  }

  async *#eventsOf(
    response: IncomingMessage,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<PeerEvent, void, undefined> {
    let pending = "";
    response.setEncoding("utf8");
    try {
      for await (const chunk of response) {
        pending += chunk as string;
        const blocks = pending.split(/\r?\n\r?\n/);
        pending = blocks.pop() ?? "";
        if (pending.length > ANSWER_BYTES_MAX) throw this.#stranger();
        for (const block of blocks) {
          const event = eventOf(block);
          if (event !== undefined) yield event;
        }
      }
    } catch (error) {
      if (signal?.aborted) return;
      throw this.#failureOf(error);
    } finally {
      response.destroy();
    }
    if (signal?.aborted) return;
    throw new Failure("CLOSED", `${this.address} has ended the connection`);
  }

  #stranger(): Failure {
    return new Failure("UNREACHABLE", `Cannot ask ${this.address}: what answers there is no peer`);
  }

  #failureOf(error: unknown): Failure {
    if (error instanceof Failure) return error;
    if (error instanceof SilenceError) {
      const message = `No answer from ${this.address} in ${ANSWER_TIMEOUT_MS / 1000} s`;
      return new Failure("TIMEOUT", message);
    }
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const because = reasonOf(code) ?? (error instanceof Error ? error.message : String(error));
    return new Failure("UNREACHABLE", `Cannot reach ${this.address}: ${because}`);
  }
}

/** The deadline for an answer has passed. */
class SilenceError extends Error {}

const UNTRUSTED = /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/;

function reasonOf(code: unknown): string | undefined {
  if (code === "ECONNREFUSED") return "nothing listens there";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "there is no such host";
  if (code === "ECONNRESET" || code === "EPIPE") return "the connection broke";
  if (code === "EPROTO") return "it does not speak TLS";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "its certificate is for another host";
  if (typeof code === "string" && UNTRUSTED.test(code))
    return `its certificate is refused: ${code}`;
  if (typeof code === "string" && code.startsWith("HPE_")) return "it does not speak HTTP";
  return undefined;
}

function responseTo(sent: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.once("response", resolve);
    sent.on("error", reject); // Stays, so that a later break is no uncaught error.
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Failure("FRAME_TOO_LARGE", "The answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The refusal in an answer `{"error": {"code", "message"}}`; undefined when there is none. */
function refusalOf(answer: unknown): Failure | undefined {
  const error = (answer as { error?: { code?: unknown; message?: unknown } } | undefined)?.error;
  if (typeof error?.code !== "string" || typeof error.message !== "string") return undefined;
  return new Failure(error.code, error.message);
}

/** One server-sent event; undefined for comments, which only keep the connection alive. */
function eventOf(block: string): PeerEvent | undefined {
  const fields = block.split(/\r?\n/).map((line) => /^(\w+): ?(.*)$/.exec(line) ?? []);
  const valuesOf = (name: string) => fields.filter((f) => f[1] === name).map((f) => f[2] ?? "");
  const row = parseJson(valuesOf("data").join("\n"));
  if (typeof row !== "object" || row === null) return undefined;
  const type = valuesOf("event").at(-1) ?? "message";
  return { type, atMs: Date.now(), ...row };
}
