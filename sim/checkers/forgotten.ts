/**
 * What a peer may have forgotten by the rules of eras and of verdicts, told in the naive way.
 *
 * Checkers that look for entries which a peer lacks ask here whether it may lack them. The cut is read
 * from the peer's own `era` entry; verdicts are compared with the row that the peer has of their subject.
 */
import type { Entry, MapEntries } from "../../src/core/message.ts";

/** Verdicts about one row that a peer has to keep. */
const VERDICTS_MAX = 4;

/** Whether a peer that holds `held` may lack an entry, by map and entry. */
export function forgetting(
  held: readonly MapEntries[],
): (map: string, entry: Pick<Entry, "key" | "value" | "time">) => boolean {
  const entriesOf = (name: string) => held.find(({ map }) => map === name)?.entries ?? [];
  const era = entriesOf("settings").find(({ key }) => key === "era")?.value;
  const cut = Array.isArray(era) ? Number(era[3]) : 0;
  const rows = new Map(entriesOf("members").map((entry) => [entry.key, entry]));
  const isAbout = (value: unknown, row: Entry | undefined) =>
    Array.isArray(value) && value[1] === row?.time && value[2] === row?.writer;
  return (map, { key, value, time }) => {
    const isOld = time < cut;
    if (map !== "verdicts") return isOld && (value === undefined || map === "members");
    const [subject = ""] = key.split("/");
    const row = rows.get(subject);
    if (isOld || !isAbout(value, row)) return true;
    const others = entriesOf("verdicts").filter((entry) => entry.key.startsWith(`${subject}/`));
    return others.filter((entry) => isAbout(entry.value, row)).length >= VERDICTS_MAX;
  };
}
