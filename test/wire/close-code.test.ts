import { expect, test } from "vitest";
import { ERROR_CODES } from "../../src/core/error.ts";
import { closeStatus, codeOfStatus, type LinkCloseCode } from "../../src/wire/close-code.ts";

const CODES: readonly LinkCloseCode[] = [...ERROR_CODES, "LEAVING", "DUPLICATE", "SELF"];

test("[S1] every code has a status of its own that is read back as the same code", () => {
  const statuses = CODES.map((code) => closeStatus(code).status);
  expect(new Set(statuses).size).toBe(CODES.length);
  expect(statuses.map(codeOfStatus)).toEqual(CODES);
});

test("[S1] every status is in the range for applications, and its reason is the code", () => {
  for (const code of CODES) {
    const { status, reason } = closeStatus(code);
    expect(status).toBeGreaterThanOrEqual(4000);
    expect(status).toBeLessThanOrEqual(4999);
    expect(reason).toBe(code);
  }
});

test("[S1] the statuses of version 1 do not change", () => {
  const statuses = (codes: readonly LinkCloseCode[]) =>
    codes.map((code) => `${closeStatus(code).status} ${code}`);
  expect(
    statuses([
      ...(["LEAVING", "DUPLICATE", "SELF", "CLOSED", "MALFORMED_FRAME"] as const),
      ...(["FRAME_TOO_LARGE", "VERSION_MISMATCH", "CLUSTER_MISMATCH", "NAME_TAKEN"] as const),
      ...(["AUTH_FAILED", "CLOCK_DRIFT", "TIMEOUT", "NOT_READY"] as const),
    ]),
  ).toEqual([
    ...["4000 LEAVING", "4001 DUPLICATE", "4002 SELF", "4003 CLOSED", "4010 MALFORMED_FRAME"],
    ...["4011 FRAME_TOO_LARGE", "4012 VERSION_MISMATCH", "4013 CLUSTER_MISMATCH"],
    ...["4014 NAME_TAKEN", "4015 AUTH_FAILED", "4018 CLOCK_DRIFT", "4019 TIMEOUT"],
    "4021 NOT_READY",
  ]);
});

test("[S1] what WebSocket itself refuses is a bad frame", () => {
  for (const status of [1002, 1003, 1007, 1008]) {
    expect(codeOfStatus(status)).toBe("MALFORMED_FRAME");
  }
  expect(codeOfStatus(1009)).toBe("FRAME_TOO_LARGE");
});

test("[S1] a status that is none of ours says nothing", () => {
  for (const status of [1000, 1001, 1005, 1006, 1011, 3999, 4005, 4999, Number.NaN]) {
    expect(codeOfStatus(status)).toBeUndefined();
  }
});
