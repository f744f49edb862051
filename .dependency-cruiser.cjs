/**
 * Who may import whom. docs/ARCHITECTURE.md says why; test/rules/imports.test.ts plants a violation of each rule and sees it caught.
 *
 * TypeScript is parsed by @swc/core, since dependency-cruiser cannot read it with TypeScript 7: without swc it would find nothing to
 * complain of in no files at all. The same test therefore counts what was read. Type imports count like any other; the one rule that lets
 * them through, on adapters, is in .oxlintrc.json.
 */

const { Visitor } = require("@swc/core/Visitor.js");

/** The visitor is older than `using` and throws at it, so it is shown that as the `const` that it nearly is. */
const { visitStatement } = Visitor.prototype;
Visitor.prototype.visitStatement = function (statement) {
  if (statement.type !== "UsingDeclaration") return visitStatement.call(this, statement);
  return this.visitVariableDeclaration({ ...statement, type: "VariableDeclaration", declarations: statement.decls });
};

/** Tests and what is for tests alone. */
const TEST = "\\.(test|fixture)\\.ts$|/fakes/|/testing\\.ts$";

/** Folders that decide: no Node, no npm, no clock, no chance. The first of each pair may import the second. */
const PURE = [
  ["proto", "^proto/src/(?!gen/)", "^proto/src/"],
  ["plan", "^controller/src/plan/", "^(controller/src/plan|proto/src)/"],
  ["rollout", "^controller/src/rollout/", "^(controller/src/(plan|rollout)|proto/src)/"],
  ["forecast", "^controller/src/forecast/", "^(controller/src/(plan|rollout|forecast)|proto/src)/"],
  ["machine", "^agent/src/machine/", "^(agent/src/machine|proto/src)/"],
];

const forbid = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

module.exports = {
  forbidden: [
    forbid("no-cycle", "Two files that need each other are one file, or want a third.", {}, { circular: true }),
    forbid("resolvable", "An import that nobody can follow escapes every other rule.", {}, { couldNotResolve: true, path: "^(\\.|@muster/)" }),
    forbid("no-rag-bag", "utils/ and common/ say nothing about what is in them.", {}, { path: "(^|/)(utils?|common|helpers?|misc)/", pathNot: "node_modules" }),
    forbid(
      "workspaces-by-name",
      "A relative import stays in its workspace; others are imported by name.",
      { path: "^(proto|controller/cli|controller|agent|test)/" },
      { dependencyTypes: ["local"], pathNot: "^$1/" },
    ),

    forbid("proto-imports-no-side", "What both sides agree on knows neither.", { path: "^proto/" }, { path: "^(controller|agent|test)/" }),
    forbid("controller-not-agent", "They meet in proto/ alone.", { path: "^controller/" }, { path: "^agent/" }),
    forbid("agent-not-controller", "They meet in proto/ alone.", { path: "^agent/" }, { path: "^controller/" }),
    forbid("cli-imports-only-proto", "The CLI is a client of the public API.", { path: "^controller/cli/" }, { path: "^(controller/(?!cli/)|agent/|test/)" }),
    forbid("nobody-imports-cli", "What is needed elsewhere belongs elsewhere.", { pathNot: "^controller/cli/" }, { path: "^controller/cli/" }),
    forbid("nobody-imports-tests", "What ships does not know how it is tested.", { path: "^(proto|controller|agent)/", pathNot: TEST }, { path: `^test/|${TEST}` }),

    ...PURE.map(([name, path, allowed]) =>
      forbid(`pure-${name}`, "Pure code imports only itself and proto/src.", { path, pathNot: TEST }, { pathNot: allowed }),
    ),

    forbid(
      "no-process-by-import",
      "The rules on process.env and console see the globals.",
      { path: "^(proto|controller|agent)/", pathNot: TEST },
      { path: "^(node:)?(process|console)$" },
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^docs/" },
    parser: "swc",
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"], extensions: [".ts", ".js"] },
  },
};
