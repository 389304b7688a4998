/**
 * `src/LIMITS.md` lists every limit of the code, with its value, unit and reason: all that is listed there
 * is read from where the limit is. After a change, `npx vitest run test/limits.test.ts -u` writes it anew.
 */
import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";

interface Limit {
  readonly name: string;
  readonly file: string;
  readonly value: number;
  readonly reason: string;
}

/** What a constant is called that bounds what comes from outside, or how long is waited for it. */
const LIMIT_NAME = /(?:_MAX|_MIN|_HIGH|_LOW|_MS|_DAYS|_TARGET|_BURST)$|_MAX_|^RPC_STALL_/;

const PARTS = [
  ...["core", "wire", "items", "documents", "documents/shell", "live", "live/shell", "io", "cli"],
];

const filesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".ts"))
    .sort()
    .map((file) => `${folder}/${file}`);

/** The limits of one file, in order; `known` has those of all files before, by name. */
function limitsOf(file: string, known: Map<string, number>): Limit[] {
  const tree = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true);
  let shared = "";
  return tree.statements.filter(ts.isVariableStatement).flatMap((statement) => {
    // Constants that stand together share the comment of the first.
    shared = reasonOf(statement) || (/^\s*\n\s*\n/.test(statement.getFullText()) ? "" : shared);
    const [declaration] = statement.declarationList.declarations;
    if (declaration?.initializer === undefined) return [];
    const name = declaration.name.getText();
    const value = numberOf(declaration.initializer, known);
    if (value === undefined || !/^[A-Z][A-Z0-9_]+$/.test(name)) return [];
    known.set(name, value);
    if (!LIMIT_NAME.test(name)) return [];
    return [{ name, file: file.replace(/^src\//, ""), value, reason: shared }];
  });
}

/** A number, or a sum, difference, product or quotient of numbers and known constants. */
function numberOf(node: ts.Expression, known: ReadonlyMap<string, number>): number | undefined {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isIdentifier(node)) return known.get(node.text);
  if (ts.isParenthesizedExpression(node)) return numberOf(node.expression, known);
  if (!ts.isBinaryExpression(node)) return undefined;
  const [left, right] = [numberOf(node.left, known), numberOf(node.right, known)];
  if (left === undefined || right === undefined) return undefined;
  switch (node.operatorToken.kind) {
    case ts.SyntaxKind.PlusToken:
      return left + right;
    case ts.SyntaxKind.MinusToken:
      return left - right;
    case ts.SyntaxKind.AsteriskToken:
      return left * right;
    case ts.SyntaxKind.AsteriskAsteriskToken:
      return left ** right;
    case ts.SyntaxKind.SlashToken:
      return left / right;
    default:
      return undefined;
  }
}

function reasonOf(statement: ts.Statement): string {
  const [comment] = ts.getJSDocCommentsAndTags(statement);
  const text = comment?.comment;
  return typeof text === "string" ? text.replace(/\s+/g, " ").trim() : "";
}

function unitOf({ name }: Limit): string {
  if (/_MS(?:_|$)/.test(name)) return "ms";
  if (/_BYTES(?:_|$)|_BYTES$/.test(name)) return "bytes";
  if (/LENGTH/.test(name)) return "characters";
  return name.endsWith("_DAYS") ? "days" : "";
}

const limits = (() => {
  const known = new Map<string, number>();
  const files = PARTS.flatMap((part) => filesIn(`src/${part}`));
  const first = files.filter((file) => file.endsWith("/limits.ts"));
  return [...first, ...files.filter((file) => !first.includes(file))].flatMap((file) =>
    limitsOf(file, known),
  );
})();

test("[S4] every limit is listed with its value, its unit and its reason", async () => {
  const rows = limits.map((limit) => {
    const { name, file, value, reason } = limit;
    const shown = Number.isInteger(value)
      ? value.toLocaleString("en-US").replace(/,/g, " ")
      : value;
    return `| \`${name}\` | ${shown} | ${unitOf(limit)} | ${reason} | \`${file}\` |`;
  });
  const page = [
    "# Limits",
    "",
    "What a peer takes from outside, and how long it waits: every named limit of the code, with its reason.",
    "This page is made from the code by `test/limits.test.ts`. Characters are UTF-16 code units.",
    "",
    "| limit | value | unit | what, and why | in |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    "",
  ];
  await expect(page.join("\n")).toMatchFileSnapshot("../src/LIMITS.md");
});

test("[S4] no limit is without a reason", () => {
  const bare = limits
    .filter(({ reason }) => reason === "")
    .map(({ name, file }) => `${file} ${name}`);
  expect(bare).toEqual([]);
});
