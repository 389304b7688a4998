/**
 * The page at `/`: where a browser finds the rest.
 */
import { createHash } from "node:crypto";
import { PAGE_PATH } from "./page-files.ts";

interface Link {
  readonly path: string;
  readonly what: string;
  /** It leads nowhere at peers without documents. */
  readonly needsDocuments?: boolean;
}

const LINKS: readonly Link[] = [
  { path: PAGE_PATH, what: "edits one document through two peers", needsDocuments: true },
  { path: "/v1/status", what: "this peer in numbers" },
  { path: "/v1/members", what: "who is in the cluster, and how they are" },
  { path: "/v1/shards", what: "all shards: their region, and how it is" },
  {
    path: "/v1/allocations",
    what: "the table: which region hosts which shard, and its fencing token",
  },
  { path: "/v1/route?document=readme", what: "where a document belongs" },
  { path: "/v1/search?q=shard", what: "documents with these words", needsDocuments: true },
  { path: "/v1/events", what: "changes as they happen" },
  { path: "/metrics", what: "for Prometheus" },
  { path: "/readyz", what: "whether this peer serves" },
  { path: "/healthz", what: "whether this process lives" },
];

const STYLE =
  ":root { color-scheme: light dark } body { font: 16px/1.6 system-ui, sans-serif; margin: 3em auto; max-width: 40em; padding: 0 1em }";

/** Nothing is run on this page, or fetched. */
export const INDEX_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": [
    `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ].join("; "),
};

/** The page of a peer, which may host documents. */
export function indexPage(hostsDocuments: boolean): string {
  const links = LINKS.filter(({ needsDocuments = false }) => hostsDocuments || !needsDocuments);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hearsay</title>
<style>${STYLE}</style>
<h1>A hearsay peer</h1>
<ul>
${links.map(({ path, what }) => `<li><a href="${path}">${path}</a>: ${what}`).join("\n")}
</ul>
</html>
`;
}
