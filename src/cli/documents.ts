/**
 * Finds the documents that `hearsay dev` routes: text files below a folder, by relative path.
 *
 * What is text is decided by looking: a file whose first bytes hold a zero or are no UTF-8 is binary,
 * whatever it is called. Hidden folders are left out, links are not followed (they may lead in a
 * circle), and a folder that cannot be read costs only itself.
 */
import { open, opendir } from "node:fs/promises";
import { join } from "node:path";

/** More make the table no clearer. */
const DOCUMENTS_MAX = 50_000;

/** Size of a document, in bytes. What is longer was not written by a person. */
const DOCUMENT_BYTES_MAX = 16_777_216;

/** How much of a file is looked at, in bytes. */
const SAMPLE_BYTES = 4096;

const MARKDOWN = /\.(?:md|mdx|markdown)$/i;

export interface FoundDocuments {
  /** Paths relative to the folder, with forward slashes, sorted. */
  readonly documents: readonly string[];
  /** Files left out because they are binary, too long or cannot be read. */
  readonly skipped: number;
  /** Whether there were more than are returned. */
  readonly isCut: boolean;
}

/** Walks a folder. Throws what reading the folder itself throws. */
export async function findDocuments(
  folder: string,
  kind: "text" | "markdown",
  documentsMax: number = DOCUMENTS_MAX,
): Promise<FoundDocuments> {
  const documents: string[] = [];
  let skipped = 0;
  const pending = [""];
  const sample = Buffer.alloc(SAMPLE_BYTES);
  for (let at = pending.shift(); at !== undefined; at = pending.shift()) {
    for (const { name, isFolder } of await entriesOf(join(folder, at), at === "")) {
      const path = at === "" ? name : `${at}/${name}`;
      if (isFolder) pending.push(path);
      else if (kind === "markdown" && !MARKDOWN.test(name)) continue;
      else if (!(await isText(join(folder, path), sample))) skipped += 1;
      else if (documents.length === documentsMax) {
        return { documents: documents.sort(), skipped, isCut: true };
      } else documents.push(path);
    }
  }
  return { documents: documents.sort(), skipped, isCut: false };
}

interface FolderEntry {
  readonly name: string;
  readonly isFolder: boolean;
}

async function entriesOf(folder: string, isRoot: boolean): Promise<FolderEntry[]> {
  const entries: FolderEntry[] = [];
  try {
    for await (const entry of await opendir(folder)) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isFile() || entry.isDirectory()) {
        entries.push({ name: entry.name, isFolder: entry.isDirectory() });
      }
    }
  } catch (error) {
    if (isRoot) throw error;
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function isText(path: string, sample: Buffer): Promise<boolean> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path);
  } catch {
    return false;
  }
  try {
    if ((await file.stat()).size > DOCUMENT_BYTES_MAX) return false;
    const { bytesRead } = await file.read(sample, 0, sample.length, 0);
    return looksLikeText(sample.subarray(0, bytesRead), bytesRead < sample.length);
  } catch {
    return false;
  } finally {
    await file.close();
  }
}

/** Whether the beginning of a file is text. `isWhole` forbids a character cut off at its end. */
export function looksLikeText(bytes: Uint8Array, isWhole: boolean): boolean {
  if (bytes.includes(0)) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !isWhole });
    return true;
  } catch {
    return false;
  }
}
