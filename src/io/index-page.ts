/**
 * The page at `/`: where a browser finds the rest.
 */
const LINKS: readonly (readonly [path: string, what: string])[] = [
  ["/v1/status", "this peer in numbers"],
  ["/v1/members", "who is in the cluster, and how they are"],
  ["/v1/shards", "all shards: their region, and how it is"],
  ["/v1/allocations", "the table: which region hosts which shard, and its fencing token"],
  ["/v1/route?document=readme", "where a document belongs"],
  ["/v1/search?q=shard", "documents with these words"],
  ["/v1/events", "changes as they happen"],
  ["/metrics", "for Prometheus"],
  ["/readyz", "whether this peer serves"],
  ["/healthz", "whether this process lives"],
];

export const INDEX_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hearsay</title>
<style>body { font: 16px/1.6 system-ui, sans-serif; margin: 3em auto; max-width: 40em }</style>
<h1>A hearsay peer</h1>
<ul>
${LINKS.map(([path, what]) => `<li><a href="${path}">${path}</a>: ${what}`).join("\n")}
</ul>
</html>
`;
