import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { ClientAccess } from "../../src/io/client-access.ts";
import { FailureLimiter } from "../../src/io/failure-limiter.ts";

const READER = "token-of-a-reader-0001";
const WRITER = "token-of-a-writer-0002";
const ADMIN = "token-of-an-admin-0003";
const LINES = [`${READER} read`, `${WRITER}   write`, `${ADMIN} admin`];

interface Asked {
  readonly method?: string;
  readonly url?: string;
  readonly token?: string;
  readonly from?: string;
  readonly headers?: Record<string, string>;
}

function request({ method = "GET", url = "/v1/status", token, from = "10.0.0.9", headers }: Asked) {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    ...{ method, url, socket: { remoteAddress: from } },
    headers: { ...authorization, ...headers },
  } as unknown as IncomingMessage;
}

/** The code that a request is refused with, or "ok". */
function outcome(access: ClientAccess, asked: Asked): string {
  try {
    access.check(request(asked));
    return "ok";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const accessOf = (lines: readonly string[] | undefined, isClosed = true, now = () => 0) =>
  new ClientAccess({ tokens: lines && (() => lines), isClosed, now });

test("[S2] a token allows what its scope says, and no more", () => {
  const access = accessOf(LINES);
  const read = { url: "/v1/allocations" };
  const write = { method: "PUT", url: "/v1/allocations/shard-1" };
  const admin = { method: "POST", url: "/v1/leave" };
  const drain = { method: "POST", url: "/v1/regions/a/drain?x=1" };
  const asked = [read, write, admin, drain];
  const codes = (token: string) => asked.map((each) => outcome(access, { ...each, token }));
  expect(codes(READER)).toEqual(["ok", "FORBIDDEN", "FORBIDDEN", "FORBIDDEN"]);
  expect(codes(WRITER)).toEqual(["ok", "ok", "FORBIDDEN", "FORBIDDEN"]);
  expect(codes(ADMIN)).toEqual(["ok", "ok", "ok", "ok"]);
});

test("[S2] with tokens nobody is answered without one, of this machine neither, but for health", () => {
  const access = accessOf(LINES);
  expect(outcome(access, {})).toBe("AUTH_FAILED");
  expect(outcome(access, { from: "127.0.0.1" })).toBe("AUTH_FAILED");
  expect(outcome(access, { token: `${READER}x` })).toBe("AUTH_FAILED");
  expect(outcome(access, { token: READER.toUpperCase() })).toBe("AUTH_FAILED");
  expect(outcome(access, { url: "/healthz" })).toBe("ok");
  expect(outcome(access, { url: "/readyz?now" })).toBe("ok");
  expect(outcome(access, { url: "/healthz/../v1/status" })).toBe("AUTH_FAILED");
});

test("[S2] a token in the query counts for an upgrade only, which a browser gives no header", () => {
  const access = accessOf(LINES);
  const url = `/rpc?token=${WRITER}`;
  expect(outcome(access, { url, headers: { upgrade: "websocket" } })).toBe("ok");
  expect(outcome(access, { url })).toBe("AUTH_FAILED");
});

test("[S6] with a secret and without tokens, clients of this machine are answered and no others", () => {
  const access = accessOf(undefined);
  expect(outcome(access, { from: "127.0.0.1" })).toBe("ok");
  expect(outcome(access, { from: "::ffff:127.0.0.1" })).toBe("ok");
  expect(outcome(access, { from: "::1" })).toBe("ok");
  expect(outcome(access, {})).toBe("FORBIDDEN");
  expect(outcome(access, { from: "::ffff:10.0.0.1" })).toBe("FORBIDDEN");
  expect(outcome(access, { url: "/healthz" })).toBe("ok");
  expect(outcome(accessOf(undefined, false), {})).toBe("ok");
});

test("[S4] who guesses is refused for a while, others and a right token from there are not", () => {
  let now = 0;
  const access = accessOf(LINES, true, () => now);
  const guess = { token: "wrong-token-wrong-token" };
  const codes = Array.from({ length: 12 }, () => outcome(access, guess));
  expect(codes).toEqual([...Array(10).fill("AUTH_FAILED"), "RATE_LIMITED", "RATE_LIMITED"]);
  expect(outcome(access, { token: READER })).toBe("ok");
  expect(outcome(access, { ...guess, from: "10.0.0.8" })).toBe("AUTH_FAILED");
  now += 2000;
  expect(outcome(access, guess)).toBe("AUTH_FAILED");
});

test("[S4] of many addresses that fail, only so many are remembered", () => {
  const limiter = new FailureLimiter(() => 0);
  for (let failure = 0; failure < 10; failure += 1) limiter.failed("first");
  expect(limiter.isExhausted("first")).toBe(true);
  for (let address = 0; address < 5000; address += 1) limiter.failed(`10.0.0.${address}`);
  expect(limiter.isExhausted("first")).toBe(false);
});

test("[S2] tokens are read anew when they change, and while they cannot be read the old ones hold", () => {
  let lines: readonly string[] | undefined = LINES;
  const tokens = (): readonly string[] => {
    if (lines === undefined) throw new TypeError("Cannot read the file");
    return lines;
  };
  const access = new ClientAccess({ tokens, isClosed: true, now: () => 0 });
  lines = [`${WRITER} read`];
  expect(outcome(access, { token: READER })).toBe("AUTH_FAILED");
  expect(outcome(access, { token: WRITER, method: "PUT" })).toBe("FORBIDDEN");
  lines = undefined;
  expect(outcome(access, { token: WRITER })).toBe("ok");
});

test("a line that is no token is refused by its number, and the token is not repeated", () => {
  for (const line of ["short read", `${READER} root`, READER, `${READER} read more`]) {
    expect(() => accessOf([`${ADMIN} admin`, line])).toThrow("Token 2");
    expect(() => accessOf([`${ADMIN} admin`, line])).not.toThrow(READER);
  }
});
