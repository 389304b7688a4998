/**
 * How deep types lie within types after an update: Yjs goes down by recursion when one is deleted, so a deep one
 * can neither be deleted nor be told apart from an honest document later.
 *
 * A struct says where it lies: in a type by its name, in the type that another struct is, or where its neighbour
 * lies. So depth follows from chains of structs, in the update and in the document, each looked at once.
 */
import { ContentType, type Doc, findIndexSS, type GC, type ID, Item, type Skip } from "yjs";

type Struct = Item | GC | Skip;

/** The depth of the deepest type that the structs of an update bring; 1 for one in a type that has a name. */
export function nestingOf(doc: Doc, structs: readonly Struct[]): number {
  const types = structs.filter(isType);
  if (types.length === 0) return 0;
  const news = new Map<number, Struct[]>();
  for (const struct of structs) {
    const own = news.get(struct.id.client);
    if (own === undefined) news.set(struct.id.client, [struct]);
    else own.push(struct);
  }
  const find = ({ client, clock }: ID): Struct | undefined =>
    structAt(news.get(client), clock) ?? structAt(doc.store.clients.get(client), clock);
  const known = new Map<Struct, number>();
  let deepest = 0;
  for (const type of types) deepest = Math.max(deepest, depthOf(type, find, known) + 1);
  return deepest;
}

const isType = (struct: Struct): struct is Item =>
  struct instanceof Item && struct.content instanceof ContentType;

function structAt(structs: readonly Struct[] | undefined, clock: number): Struct | undefined {
  const [first, last] = [structs?.[0], structs?.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  if (clock < first.id.clock || clock >= last.id.clock + last.length) return undefined;
  return structs?.[findIndexSS(structs as Item[], clock)];
}

/** How many types lie around a struct, which is 0 in a type that has a name. */
function depthOf(
  start: Struct,
  find: (id: ID) => Struct | undefined,
  known: Map<Struct, number>,
): number {
  const path: { readonly struct: Struct; readonly isWithin: boolean }[] = [];
  let depth = 0;
  for (let struct: Struct | undefined = start; struct !== undefined; ) {
    const before = known.get(struct);
    if (before !== undefined) {
      depth = before;
      break;
    }
    known.set(struct, 0); // What leads back to itself ends here.
    const step = stepFrom(struct);
    path.push({ struct, isWithin: step.isWithin });
    struct = step.struct ?? (step.id && find(step.id));
  }
  for (const { struct, isWithin } of path.reverse()) {
    if (isWithin) depth += 1;
    known.set(struct, depth);
  }
  return depth;
}

interface Step {
  /** What it leads to is the type that it lies in, and not its neighbour. */
  readonly isWithin: boolean;
  readonly struct?: Struct | undefined;
  readonly id?: ID | undefined;
}

/** Where to look next; nowhere from a struct that lies in a type that has a name, or lies nowhere. */
function stepFrom(struct: Struct): Step {
  if (!(struct instanceof Item)) return { isWithin: false };
  const { parent, origin, rightOrigin } = struct;
  if (typeof parent === "string") return { isWithin: false };
  if (parent === null) return { isWithin: false, id: origin ?? rightOrigin ?? undefined };
  if ("clock" in parent) return { isWithin: true, id: parent };
  return { isWithin: parent._item !== null, struct: parent._item ?? undefined };
}
