/**
 * What a client may do: by its token, or by where it comes from.
 *
 *   with tokens      a request names one, and its scope must cover what is asked
 *   with a secret    and without tokens: clients of this machine only
 *   with neither     everybody who reaches the port, which is loopback unless told otherwise [S6]
 *
 * Tokens are the lines of a file, `<token> <scope>`, read anew when it has changed. They are looked up
 * by their hash, so that the time it takes tells nothing about how close a guess was. A token that names a
 * tenant, `<token> <scope> tenant=NAME`, is good for live queries of that tenant only.
 *
 * Who guesses is told off by address, and only as long as the guesses are wrong: a right token from
 * the same address is never refused for them.
 *
 * Deliberately absent: sessions, passwords, users. A token is a machine's.
 *
 * Rules: SPEC.md, S2, S4 and S6.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { HearsayError } from "../core/error.ts";
import { FailureLimiter } from "./failure-limiter.ts";
import { PAGE_FILES } from "./page-files.ts";

/** What a token allows; each includes those before it. */
export type Scope = "read" | "write" | "admin";

const SCOPES: readonly Scope[] = ["read", "write", "admin"];

/** What a token is good for. */
export interface Grant {
  readonly scope: Scope;
  /** The one tenant whose rows it may follow and write; undefined: it is bound to none. */
  readonly tenant: string | undefined;
  /** Tells one token from another, without being it; undefined where none is asked for. */
  readonly holder: string | undefined;
}

/** Whether who has one scope may do what needs another. */
export function includesScope(scope: Scope, needed: Scope): boolean {
  return SCOPES.indexOf(scope) >= SCOPES.indexOf(needed);
}

/** What everybody may do who is not asked for a token. */
const UNLIMITED: Grant = { scope: "admin", tenant: undefined, holder: undefined };

/** Fewest characters of a token. */
const TOKEN_LENGTH_MIN = 16;

/** Tokens of one peer. */
const TOKENS_MAX = 1024;

/**
 * Paths that say nothing but whether the process lives and serves, for those who run it; and the page that
 * edits documents with its parts, which asks for a token itself and is the same at every peer.
 */
const OPEN_PATHS: ReadonlySet<string> = new Set(["/healthz", "/readyz", ...PAGE_FILES.keys()]);

/** Following a query changes nothing, though it takes a body to say which. */
const FOLLOW_PATH = "/v1/live";

/** What a token of a tenant may ask for. Where these paths lead, the tenant is compared. */
const LIVE_PATHS = /^\/(?:live|v1\/live|v1\/live\/rows)$/;

/** Requests that change who is in the cluster or where everything is. */
const ADMIN_PATHS = [/^\/v1\/leave$/, /^\/v1\/rebalance$/, /^\/v1\/regions\//];

export interface ClientAccessOptions {
  /** Lines of `<token> <scope>`, as they are now. Undefined: there are no tokens. */
  readonly tokens: (() => readonly string[]) | undefined;
  /** Whether clients of other machines need a token. */
  readonly isClosed: boolean;
  /** Monotonic, in ms. */
  readonly now: () => number;
}

export class ClientAccess {
  readonly #options: ClientAccessOptions;
  readonly #limiter: FailureLimiter;
  /** By the hash of their token, of the lines below. */
  #grants: ReadonlyMap<string, Grant> = new Map();
  #lines: readonly string[] = [];

  constructor(options: ClientAccessOptions) {
    this.#options = options;
    this.#limiter = new FailureLimiter(options.now);
    if (options.tokens !== undefined) this.#read(options.tokens());
  }

  /** Whether there are tokens at all. */
  get knowsTokens(): boolean {
    return this.#options.tokens !== undefined;
  }

  /** Throws `AUTH_FAILED`, `RATE_LIMITED` or `FORBIDDEN` unless the request may do what it asks for. */
  check(request: IncomingMessage): void {
    const [path = ""] = (request.url ?? "").split("?");
    if (OPEN_PATHS.has(path)) return;
    const needed = scopeNeeded(request.method ?? "GET", path);
    const { scope } = LIVE_PATHS.test(path) ? this.grantOf(request) : this.#unbound(request);
    if (includesScope(scope, needed)) return;
    throw new HearsayError("FORBIDDEN", `Cannot do this: the token has no scope "${needed}"`);
  }

  /** What the sender of a request may do. Throws `AUTH_FAILED`, `RATE_LIMITED` or `FORBIDDEN`. */
  scopeOf(request: IncomingMessage): Scope {
    return this.#unbound(request).scope;
  }

  #unbound(request: IncomingMessage): Grant {
    const grant = this.grantOf(request);
    if (grant.tenant === undefined) return grant;
    throw new HearsayError("FORBIDDEN", "Cannot do this: the token is for a tenant's live queries");
  }

  /** The same for who compares the tenant. */
  grantOf(request: IncomingMessage): Grant {
    const address = request.socket.remoteAddress ?? "";
    if (this.#options.tokens === undefined) {
      if (!this.#options.isClosed || isLoopback(address)) return UNLIMITED;
      throw new HearsayError("FORBIDDEN", "Cannot answer clients of other machines without tokens");
    }
    const grant = this.#grantOfToken(tokenOf(request));
    if (grant !== undefined) return grant;
    if (this.#limiter.isExhausted(address)) {
      throw new HearsayError("RATE_LIMITED", "Cannot answer: too many wrong tokens");
    }
    this.#limiter.failed(address);
    throw new HearsayError("AUTH_FAILED", "Cannot answer without a token that is known");
  }

  #grantOfToken(token: string | undefined): Grant | undefined {
    if (token === undefined) return undefined;
    try {
      this.#read(this.#options.tokens?.() ?? []);
    } catch {
      // While the file is being replaced, the tokens before it hold.
    }
    return this.#grants.get(hashOf(token));
  }

  #read(lines: readonly string[]): void {
    if (lines === this.#lines) return;
    this.#grants = readTokens(lines);
    this.#lines = lines;
  }
}

/** What tokens are good for, by hash. Throws a TypeError that names the line and not the token. */
function readTokens(lines: readonly string[]): Map<string, Grant> {
  if (lines.length > TOKENS_MAX) throw new TypeError(`There are more than ${TOKENS_MAX} tokens`);
  const grants = new Map<string, Grant>();
  for (const [index, line] of lines.entries()) {
    const [token = "", scope = "", bound = "", ...rest] = line.split(/\s+/);
    const isScope = (SCOPES as readonly string[]).includes(scope);
    const [, tenant] = /^tenant=(.+)$/.exec(bound) ?? [];
    const isBound = bound === "" || tenant !== undefined;
    if (token.length < TOKEN_LENGTH_MIN || !isScope || !isBound || rest.length > 0) {
      throw new TypeError(
        `Token ${index + 1} is not ${TOKEN_LENGTH_MIN} characters or more and one of ${SCOPES.join(", ")}`,
      );
    }
    const holder = hashOf(token);
    grants.set(holder, { scope: scope as Scope, tenant, holder });
  }
  return grants;
}

function scopeNeeded(method: string, path: string): Scope {
  if (method === "GET" || method === "HEAD" || FOLLOW_PATH === path) return "read";
  return ADMIN_PATHS.some((pattern) => pattern.test(path)) ? "admin" : "write";
}

/** `Authorization: Bearer <token>`; a browser's WebSocket has no headers, so `?token=` as well. */
function tokenOf(request: IncomingMessage): string | undefined {
  const [, bearer] = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? "") ?? [];
  if (bearer !== undefined) return bearer;
  if (request.headers.upgrade === undefined) return undefined;
  const query = (request.url ?? "").split("?")[1] ?? "";
  return new URLSearchParams(query).get("token") ?? undefined;
}

const hashOf = (token: string): string => createHash("sha256").update(token).digest("base64");

function isLoopback(address: string): boolean {
  const plain = address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
  return plain === "::1" || /^127\./.test(plain);
}
