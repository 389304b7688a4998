/**
 * Reads a database once in a process of its own, and puts a copy in its place, before it is opened here.
 *
 * LMDB maps its file into memory and trusts what it finds there: a file that was cut short, or whose
 * pages are not what they were, may end the process that reads it by a signal, and one whose list of
 * free pages is damaged the process that writes to it. So it is another process that finds out, and the
 * peer can say what is wrong with its disk. The copy has every page that is in use and a list of free
 * pages of its own, so nothing of what nobody reads is trusted later; it is also as small as can be.
 *
 * The program is a text, since it must run from the sources as well as from what is built of them.
 */
import { spawn } from "node:child_process";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** The file of a database in its directory. */
export const DATA_FILE = "data.mdb";

/** Where in that directory its copy is made. */
const COPY_FOLDER = "copy";

const PROGRAM = `
const [lmdb, path, copy] = process.argv.slice(1);
const { open } = await import(lmdb);
const database = open({ path, readOnly: true, keyEncoding: "binary", encoding: "binary" });
database.getKeysCount({ limit: 1 });
database.readerCheck();
const pids = [...database.readerList().matchAll(/^\\s*(\\d+)\\s/gm)].map(([, pid]) => Number(pid));
const other = pids.find((pid) => pid !== process.pid);
if (other !== undefined) process.stdout.write(String(other), () => process.exit(1));
let count = 0;
for (const { value } of database.getRange({})) count += value.length > 0 ? 1 : 0;
const { entryCount } = database.getStats();
if (count !== entryCount) throw new Error(count + " of " + entryCount + " records can be found");
await database.backup(copy, true);
`;

/** How much of what the program complains of is repeated to people, in characters. */
const COMPLAINT_LENGTH_MAX = 200;

/** What is wrong with a database, or which process has it open. */
export type Obstacle = { readonly damage: string } | { readonly pid: number };

/**
 * Replaces the database in the directory `path` by a sound copy of itself. Says what stands against it,
 * and leaves it as it is, when somebody else has it open or it cannot be read.
 */
export async function refresh(path: string): Promise<Obstacle | undefined> {
  const copy = join(path, COPY_FOLDER);
  await rm(copy, { recursive: true, force: true });
  await mkdir(copy);
  const obstacle = await runProgram(path, copy);
  if (obstacle === undefined) {
    await synchronise(join(copy, DATA_FILE));
    await rename(join(copy, DATA_FILE), join(path, DATA_FILE));
    await synchronise(path);
  }
  await rm(copy, { recursive: true, force: true });
  return obstacle;
}

async function runProgram(path: string, copy: string): Promise<Obstacle | undefined> {
  const lmdb = pathToFileURL(createRequire(import.meta.url).resolve("lmdb")).href;
  const args = ["--input-type=module", "--eval", PROGRAM, lmdb, path, copy];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let pid = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    pid += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-10 * COMPLAINT_LENGTH_MAX);
  });
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (...end) => resolve(end));
  });
  if (status === 0) return undefined;
  if (pid !== "") return { pid: Number(pid) };
  if (signal !== null) return { damage: `reading it ends in ${signal}` };
  const said = /^(?:\w*Error): (.*)$/m.exec(complaint)?.[1] ?? "it cannot be read";
  return { damage: said.slice(0, COMPLAINT_LENGTH_MAX) };
}

async function synchronise(path: string): Promise<void> {
  const handle = await open(path);
  await handle.sync();
  await handle.close();
}
