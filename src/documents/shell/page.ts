/**
 * The page at `/edit`, which edits a document from a browser through two peers at once.
 *
 * Everything on it comes from this peer, and nothing of it from what somebody has written: the document is
 * fetched by its script, over the socket that any client uses. So the policy lets it run one script, this one,
 * and connect to peers, whose addresses it learns as it goes.
 *
 * Rules: SPEC.md, Y13.
 */
import { readFile } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import { HearsayError } from "../../core/error.ts";
import { PAGE_FILES } from "../../io/page-files.ts";

/** Both `src` and `dist` have this module three folders below their parent. */
const FOLDER = new URL("../../../dist/page/", import.meta.url);

const HEADERS = {
  "content-security-policy": [
    ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src data:"],
    ...["connect-src 'self' https: ws: wss:", "base-uri 'none'", "form-action 'self'"],
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};

/** Adds the page and its parts to an API. */
export function addPage(app: FastifyInstance): void {
  for (const [path, { file, type }] of PAGE_FILES) {
    app.get(path, async (_request, reply) => {
      const content = await readFile(new URL(file, FOLDER)).catch(() => undefined);
      if (content === undefined) {
        throw new HearsayError("NOT_READY", "Cannot show the page: it has not been built");
      }
      return reply.headers({ ...HEADERS, "content-type": type }).send(content);
    });
  }
}
