/**
 * The page that edits a document, as files: what is served under which path, and no other.
 *
 * They are made by `npm run build`, from `src/page` and Yjs, and say nothing of this cluster.
 */

/** Where the page is. */
export const PAGE_PATH = "/edit";

/** By path: the file below `dist/page`, and its type. */
export const PAGE_FILES: ReadonlyMap<string, { readonly file: string; readonly type: string }> =
  new Map([
    [PAGE_PATH, { file: "index.html", type: "text/html; charset=utf-8" }],
    [`${PAGE_PATH}/main.js`, { file: "main.js", type: "text/javascript; charset=utf-8" }],
    [`${PAGE_PATH}/main.css`, { file: "main.css", type: "text/css; charset=utf-8" }],
  ]);
