import { expect, test } from "vitest";
import { isPageOf } from "../../src/io/origin.ts";

const members = [
  "127.0.0.1:7100",
  "[::1]:7101",
  "10.0.0.7:7102",
  "peer.example:7103",
  "127.0.0.1:80",
];

const isPage = (origin: string | undefined, scheme: "http:" | "https:" = "http:"): boolean =>
  isPageOf(origin === undefined ? {} : { origin }, scheme, members);

test("[S2, Y13] a page of a member is known by the member's address, its port and its scheme", () => {
  expect(isPage("http://127.0.0.1:7100")).toBe(true);
  expect(isPage("http://localhost:7100")).toBe(true);
  expect(isPage("http://[::1]:7101")).toBe(true);
  expect(isPage("http://localhost:7101")).toBe(true);
  expect(isPage("http://10.0.0.7:7102")).toBe(true);
  expect(isPage("http://127.0.0.1")).toBe(true);
  expect(isPage("https://127.0.0.1:7100", "https:")).toBe(true);
});

test("[S2, Y13] every other page is foreign: another port, scheme, machine or name", () => {
  const foreign = [
    ...["http://127.0.0.1:7109", "https://127.0.0.1:7100", "http://localhost:7102"],
    ...["http://10.0.0.8:7102", "http://peer.example:7103", "http://evil.example:7100"],
    ...["http://127.0.0.1.evil.example:7100", "null", "", "file://", "http://127.0.0.1:7100.evil"],
    ...["moz-extension://127.0.0.1:7100", "http://127.0.0.1:7100@evil.example"],
  ];
  for (const origin of foreign) expect(isPage(origin), origin).toBe(false);
  expect(isPage(undefined)).toBe(false);
});
