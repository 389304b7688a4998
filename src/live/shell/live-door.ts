/**
 * Who may follow and write what: asked at the gateway, before anything is sent.
 *
 * A client's token has a scope, and may be bound to one tenant: then it is good for live queries of that
 * tenant and for nothing else. Beyond that the user's own hook decides, with the query at hand. What it does
 * not allow is `FORBIDDEN`; a hook that does not answer in time allows nothing.
 *
 * Rules: SPEC.md, V11, S2 and S4.
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { HearsayError } from "../../core/error.ts";
import type { ClientAccess, Scope } from "../../io/client-access.ts";
import { includesScope } from "../../io/client-access.ts";
import type { LiveQuery, Query } from "../query.ts";
import { isRecord } from "../row.ts";
import type { Feed, LiveService } from "./live-service.ts";

/** How long the user's hook may take, in ms. */
const HOOK_TIMEOUT_MS = 5000;

/** What a client wants. */
export interface LiveRequest {
  readonly action: "subscribe" | "put" | "delete";
  readonly tenant: string;
  readonly entity: string;
  /** With `subscribe`: as it was understood. */
  readonly query?: LiveQuery;
  /** What the client's token allows; `admin` where there are no tokens. */
  readonly scope: Scope;
  /** Of the request by which the client came. */
  readonly headers: IncomingHttpHeaders;
}

/** Says whether a client may have what it wants. May be asynchronous; what throws allows nothing. */
export type Authorise = (request: LiveRequest) => boolean | Promise<boolean>;

/** Queries that all clients of one token follow: a quarter of the shapes that a gateway has room for. */
const TOKEN_SUBSCRIPTIONS_MAX = 16_384;

export class LiveDoor {
  readonly #access: ClientAccess;
  readonly #service: LiveService;
  readonly #authorise: Authorise | undefined;
  /** How many queries each token follows. */
  readonly #followed = new Map<string, number>();

  constructor(access: ClientAccess, service: LiveService, authorise: Authorise | undefined) {
    this.#access = access;
    this.#service = service;
    this.#authorise = authorise;
  }

  /** The query of a client who may follow it. Rejects with `BAD_REQUEST`, `AUTH_FAILED` or `FORBIDDEN`. */
  async query(request: IncomingMessage, asked: unknown): Promise<Query> {
    const query = this.#service.judge(asked);
    const { tenant, table, spec } = query;
    await this.#admit(request, "subscribe", tenant, table.entity, spec);
    return query;
  }

  /**
   * Has a client follow a query that it may follow, until the feed is closed. Throws `RATE_LIMITED` where its
   * token follows as many as one may, and like `LiveService.follow`.
   */
  follow(request: IncomingMessage, ...asked: Parameters<LiveService["follow"]>): Feed {
    const { holder } = this.#access.grantOf(request);
    if (holder === undefined) return this.#service.follow(...asked);
    const count = this.#followed.get(holder) ?? 0;
    if (count >= TOKEN_SUBSCRIPTIONS_MAX) {
      const message = `Cannot subscribe: a token follows ${TOKEN_SUBSCRIPTIONS_MAX} queries at most`;
      throw new HearsayError("RATE_LIMITED", message); // [S4]
    }
    const feed = this.#service.follow(...asked);
    this.#followed.set(holder, count + 1);
    let isOpen = true;
    return {
      get query() {
        return feed.query;
      },
      take: () => feed.take(),
      reanchor: (query) => feed.reanchor(query),
      close: () => {
        if (isOpen) this.#left(holder);
        isOpen = false;
        feed.close();
      },
    };
  }

  #left(holder: string): void {
    const count = (this.#followed.get(holder) ?? 1) - 1;
    if (count > 0) this.#followed.set(holder, count);
    else this.#followed.delete(holder);
  }

  /** Rejects unless a client may write this row. */
  async write(request: IncomingMessage, action: "put" | "delete", row: unknown): Promise<void> {
    const { tenant, entity } = isRecord(row) ? row : {};
    await this.#admit(request, action, String(tenant), String(entity));
  }

  /** Throws unless the client may still be here. */
  check(request: IncomingMessage): void {
    this.#access.grantOf(request);
  }

  async #admit(
    request: IncomingMessage,
    action: LiveRequest["action"],
    tenant: string,
    entity: string,
    query?: LiveQuery,
  ): Promise<void> {
    const { scope, tenant: own } = this.#access.grantOf(request);
    const needed = action === "subscribe" ? "read" : "write";
    if (!includesScope(scope, needed)) throw forbidden(`the token has no scope "${needed}"`);
    if (own !== undefined && own !== tenant) throw forbidden("the token is another tenant's"); // [V11]
    if (this.#authorise === undefined) return;
    const { headers } = request;
    const asked = { action, tenant, entity, ...(query && { query }), scope, headers };
    if (!(await this.#ask(this.#authorise, asked))) throw forbidden("it is not allowed");
  }

  async #ask(authorise: Authorise, request: LiveRequest): Promise<boolean> {
    let timeout: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new HearsayError("TIMEOUT", "Cannot tell in time whether this is allowed");
      timeout = setTimeout(() => reject(error), HOOK_TIMEOUT_MS);
    });
    try {
      return (await Promise.race([authorise(request), late])) === true;
    } finally {
      clearTimeout(timeout);
    }
  }
}

function forbidden(reason: string): HearsayError {
  return new HearsayError("FORBIDDEN", `Cannot do this: ${reason}`);
}
