/**
 * Properties of the code itself that neither the compiler nor the formatter checks.
 *
 * ARCHITECTURE.md states these rules in prose; this file is what enforces them. It reads the
 * TypeScript syntax tree, so that a word in a comment or a string is never taken for code.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path/posix";
import ts from "typescript";
import { expect, test } from "vitest";

/** Which part of the tree may import which. A part may always import itself. */
const ALLOWED_IMPORTS: Record<string, readonly string[]> = {
  "src/core": [],
  "src/wire": ["src/core", "msgpackr"],
  "src/io": ["src/core", "src/wire", "node:", "package"],
  "src/items": ["src/core", "src/wire"],
  "src/documents": ["src/core", "src/items", "yjs", "lib0/decoding", "lib0/encoding"],
  "src/documents/shell": [
    ...["src/core", "src/wire", "src/io", "src/items", "src/documents", "node:", "package"],
  ],
  "src/live": ["src/core", "src/items"],
  "src/live/shell": [
    ...["src/core", "src/wire", "src/io", "src/items", "src/live", "src/documents/shell"],
    ...["node:", "package"],
  ],
  src: [
    ...["src/core", "src/wire", "src/io", "src/items", "src/documents", "src/documents/shell"],
    ...["src/live", "src/live/shell", "node:", "package"],
  ],
  "src/page": ["yjs", "lib0/decoding", "lib0/encoding"],
  sim: ["src/core", "src/wire", "src/items", "src/documents", "src/live", "yjs"],
  test: [
    ...["src", "src/core", "src/wire", "src/io", "src/items", "src/documents"],
    ...["src/documents/shell", "src/live", "src/live/shell", "src/page", "sim", "node:", "package"],
  ],
};

/** The shells of pure parts, which may use Node beside what their part may. */
const SHELLS: ReadonlySet<string> = new Set(["sim/main.ts", "sim/jobs.ts"]);

const PURE_PARTS: ReadonlySet<string> = new Set([
  ...["src/core", "src/wire", "src/items", "src/documents", "src/live", "sim"],
]);

/** Sources of nondeterminism. Pure code receives time and randomness as arguments. */
const BANNED_IN_PURE_CODE: ReadonlySet<string> = new Set([
  ...["Date", "performance", "setTimeout", "setInterval", "setImmediate", "queueMicrotask"],
  ...["process", "Promise", "Intl", "localeCompare", "Math.random", "console", "crypto", "Buffer"],
  ...["fetch", "globalThis", "async", "await"],
]);

/** Core runs wherever JavaScript does: it writes UTF-8 by hand. */
const BANNED_IN_CORE: ReadonlySet<string> = new Set(["TextEncoder", "TextDecoder"]);

const LINES_MAX = 500;
const FUNCTION_LINES_MAX = 70;

const TOP_LEVEL = [
  ...[".biome.json", ".ci", ".gitignore", ".npmrc", "LICENSE", "README.md", "package-lock.json"],
  ...["package.json", "sim", "src", "test", "tsconfig.json", "vitest.config.ts"],
];

/** Words that are true on one machine only. */
const MACHINE_WORDS = /\/(?:work|root|home|Users|tmp)\/|npmjs[.]org|verdacci[o]|artifactor[y]/;

interface SourceFile {
  readonly path: string;
  readonly part: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

const partOf = (path: string): string =>
  Object.keys(ALLOWED_IMPORTS)
    .filter((part) => path.startsWith(`${part}/`))
    .sort((a, b) => b.length - a.length)[0] ?? path;

const paths: readonly string[] = ["src", "sim", "test"].flatMap((root) =>
  readdirSync(root, { recursive: true, encoding: "utf8" }).map((path) => join(root, path)),
);

const files: readonly SourceFile[] = paths
  .filter((path) => path.endsWith(".ts"))
  .sort()
  .map((path) => {
    const text = readFileSync(path, "utf8");
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    return { path, part: partOf(path), text, tree };
  });

const pureFiles = files.filter(({ path, part }) => PURE_PARTS.has(part) && !SHELLS.has(path));
const ownFiles = files.filter(({ part }) => part !== "test");

/** Every node of a tree, parents first. */
function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodesOf(child);
}

/** Paths of modules in the tree, and the names of all others. */
const importsOf = ({ path, text }: SourceFile): string[] =>
  ts
    .preProcessFile(text)
    .importedFiles.map(({ fileName }) =>
      fileName.startsWith(".") ? join(dirname(path), fileName) : fileName,
    );

const lineOf = (node: ts.Node): number =>
  node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1;

test("imports point from shells to the core, never back", () => {
  const mayImport = (file: SourceFile, target: string): boolean => {
    const allowed = [file.part, ...(ALLOWED_IMPORTS[file.part] ?? [])];
    if (target.startsWith("node:")) return allowed.includes("node:") || SHELLS.has(file.path);
    const part = partOf(target);
    return allowed.includes(part) || (part === target && allowed.includes("package"));
  };
  const violations = files.flatMap((file) =>
    importsOf(file)
      .filter((target) => !mayImport(file, target))
      .map((target) => `${file.path} imports ${target}`),
  );
  expect(violations).toEqual([]);
});

test("modules do not import each other in a circle", () => {
  const graph = new Map(files.map((file) => [file.path, importsOf(file)]));
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
    if (trail.includes(path) || done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  expect(cycles).toEqual([]);
});

test("pure code has no clock, no randomness and no asynchrony of its own", () => {
  const nameOf = (node: ts.Node): string | undefined => {
    if (ts.isPropertyAccessExpression(node)) return node.getText();
    if (ts.isIdentifier(node)) return node.text;
    if (node.kind === ts.SyntaxKind.AsyncKeyword) return "async";
    return ts.isAwaitExpression(node) ? "await" : undefined;
  };
  const violations = pureFiles.flatMap(({ path, part, tree }) =>
    [...nodesOf(tree)]
      .filter((node) => {
        const name = nameOf(node);
        if (name === undefined) return false;
        return BANNED_IN_PURE_CODE.has(name) || (part === "src/core" && BANNED_IN_CORE.has(name));
      })
      .map((node) => `${path}:${lineOf(node)} uses ${nameOf(node)}`),
  );
  expect(violations).toEqual([]);
});

test("every module opens with what it is for", () => {
  const violations = files
    .filter(({ path }) => !path.endsWith(".test.ts"))
    .filter(({ text }) => !text.replace(/^#!.*\n/, "").startsWith("/**\n"))
    .map(({ path }) => path);
  expect(violations).toEqual([]);
});

test("every module fits in the head", () => {
  const violations = files
    .filter(({ tree }) => tree.getLineStarts().length > LINES_MAX + 1)
    .map(({ path }) => path);
  expect(violations).toEqual([]);
});

test("every function fits on a screen", () => {
  const linesOf = (node: ts.Node): number => (node.getText().match(/\n/g)?.length ?? 0) + 1;
  const violations = ownFiles.flatMap(({ path, tree }) =>
    [...nodesOf(tree)]
      .filter((node) => ts.isFunctionLike(node) && linesOf(node) > FUNCTION_LINES_MAX)
      .map((node) => `${path}:${lineOf(node)} has ${linesOf(node)} lines`),
  );
  expect(violations).toEqual([]);
});

/** Rule ids, each once and sorted: those in the first group of every match. */
const ruleIds = (text: string, pattern: RegExp): string[] => {
  const ids = [...text.matchAll(pattern)].flatMap((match) => match[1]?.split(/\W+/) ?? []);
  return [...new Set(ids)].sort();
};

const statedRules = ruleIds(readFileSync("src/SPEC.md", "utf8"), /^- \*\*([A-Z]\d+)\*\*/gm);

test("every rule in SPEC.md has a test, and every tested rule is in SPEC.md", () => {
  const isTest = (node: ts.Node): node is ts.CallExpression =>
    ts.isCallExpression(node) && /^(?:test|it)\b/.test(node.expression.getText());
  const titles = files
    .filter(({ part }) => part === "test")
    .flatMap(({ tree }) => [...nodesOf(tree)].filter(isTest))
    .map(({ arguments: [title] }) => title)
    .filter((title) => title !== undefined)
    // A template with substitutions is a title, too: its rule stands in its first piece.
    .map((title) => (ts.isTemplateExpression(title) ? title.head : title))
    .map((title) =>
      ts.isStringLiteral(title) || ts.isTemplateLiteralToken(title) ? title.text : "",
    );
  expect(ruleIds(titles.join("\n"), /^\[([A-Z]\d+(?:, [A-Z]\d+)*)\]/gm)).toEqual(statedRules);
});

test("every rule that the code cites is in SPEC.md", () => {
  const violations = ownFiles.flatMap(({ path, text }) =>
    ruleIds(text, /\[([A-Z]\d+(?:, [A-Z]\d+)*)\]/g)
      .filter((id) => !statedRules.includes(id))
      .map((id) => `${path} cites ${id}`),
  );
  expect(violations).toEqual([]);
});

/** What stands beside `src` and is not left out by .gitignore. */
const topLevel = (() => {
  const ignored = new Set([".git", ...readFileSync(".gitignore", "utf8").split("\n")]);
  return readdirSync(".", { withFileTypes: true })
    .filter((entry) => !ignored.has(entry.isDirectory() ? `${entry.name}/` : entry.name))
    .filter(({ name }) => !ignored.has(name) && !ignored.has(`*${extname(name)}`));
})();

test("the top level holds what it must and nothing else", () => {
  expect(topLevel.map(({ name }) => name).sort()).toEqual([...TOP_LEVEL].sort());
});

test("nothing here is true on one machine only", () => {
  const around = topLevel.filter((entry) => entry.isFile()).map(({ name }) => name);
  const violations = [".ci/run", ...around, ...paths.filter((path) => extname(path) !== "")]
    .filter((path) => MACHINE_WORDS.test(readFileSync(path, "utf8")))
    .sort();
  expect(violations).toEqual([]);
});

test("no module puts work off in a comment", () => {
  const violations = files
    .filter(({ text }) => /\b(?:TO[D]O|FIX[M]E)\b/.test(text))
    .map(({ path }) => path);
  expect(violations).toEqual([]);
});
