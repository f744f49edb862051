/**
 * Faults of the file itself: its bytes, its YAML, its size. Word for word as the user sees them: `line:column path: message`.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FILE_BYTES_MAX } from "./decode.ts";
import { exampleFile, faultLines } from "./example-file.ts";
import { readDeploymentFile } from "./read.ts";

const bytes = (...parts: (string | number)[]): Uint8Array => Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.of(part))));
const EMPTY = "1:1: the file is empty: a map with the keys app, version, artifact, run, health, rollout is wanted";
const TAG = "put text that begins with ! in quotes";
const KEY = 'is followed by no value: a key is written with a colon and a blank, as in "key: value"';

describe("the bytes of the file", () => {
  it.each<readonly [string, Uint8Array, string]>([
    ["Latin-1", bytes("app: caf", 0xe9, "\n"), "1:9: byte 9 of the file (0xE9) is not UTF-8: save the file as UTF-8"],
    ["a character cut in two, after others that are whole", bytes("# \uFFFD é\napp: caf", 0xe2, 0x82), "2:9: byte 18 of the file (0xE2) is not UTF-8: save the file as UTF-8"],
    ["a bad byte after a byte order mark", bytes("\uFEFFa: ", 0xff), "1:4: byte 7 of the file (0xFF) is not UTF-8: save the file as UTF-8"],
    ["UTF-16", Buffer.from("\uFEFFapp: web\n", "utf16le"), "1:1: byte 1 of the file (0xFF) is not UTF-8; it looks like UTF-16: save the file as UTF-8"],
    ["a NUL", bytes("app: x", 0, "\n"), "1:7: a NUL character (U+0000): take it out, or save the file as plain UTF-8 text"],
    ["an escape character", bytes("app: web\nversion: ", 0x1b, "[0m\n"), "2:10: a control character (U+001B): take it out, or save the file as plain UTF-8 text"],
    ["carriage returns alone", bytes("app: web\rversion: 1\r"), "1:9: a carriage return without a line feed: end lines with LF or CRLF"],
    ["more than 1 MiB", Buffer.alloc(FILE_BYTES_MAX + 1, "#"), "0:0: the file has 1048577 bytes; at most 1048576 (1 MiB) are allowed"],
    ["nothing", bytes(), EMPTY],
    ["comments only", bytes("# app: web\n"), EMPTY],
  ])("refuses %s", (_title, content, fault) => {
    expect(faultLines(content)).toEqual([fault]);
  });

  it("reads a file of exactly 1 MiB", () => {
    const file = exampleFile();
    expect(faultLines(`${file}# ${"x".repeat(FILE_BYTES_MAX - file.length - 2)}`)).toEqual([]);
  });
});

describe("the YAML of the file", () => {
  it.each<readonly [string, string, string]>([
    ["a tab for indentation", "run:\n\tcommand: [x]\n", "2:1: a tab in the indentation: YAML is indented with spaces"],
    ["a second document", `${exampleFile()}---\napp: other\n`, "8:1: a second document begins here (after ---): a file holds one deployment"],
    ["a list without its end", "run:\n  command: [node, x\nhealth: []\n", '2:12: "[" has no "]", or the lines between them are indented too little'],
    ["a map without its end", "run: { command: [x]\n", '1:6: "{" has no "}", or the lines between them are indented too little'],
    ["an end too many", "waves: [1]]\n", '1:11: "]" has nothing that it closes or parts'],
    ["a comma that is missing", 'command: ["a" "b"]\n', '1:15: a "," is missing before this'],
    ["a quote without its end, where it begins", 'app: "web\nversion: 1\n', "1:6: the text that begins here has no closing quote"],
    ["a second colon", "health:\n  - http: tcp: x\n", '2:11: a second ": " on one line: put the value in quotes, or its keys on lines of their own'],
    ["a line that is indented otherwise", "run:\n    driver: files\n  ports: {}\n", "3:1: indented otherwise than the lines that it belongs with"],
    ["a key without a colon", "app\nversion: 1\n", `1:1: "app" ${KEY}`],
    ["a key without a blank after its colon", "app:web\nversion: 1\n", `1:1: "app:web" ${KEY}`],
    ["a key without a colon, at the end", "app: web\nversion\n", `2:1: "version" ${KEY}`],
    ["a selector that begins with !", "rollout:\n  targets: !canary\n", `2:12: YAML reads "!canary" as a tag: ${TAG}`],
    ["a selector that begins with ! and goes on", "rollout:\n  targets: !canary,role=web\n", `2:12: YAML reads "!canary" as a tag: ${TAG}`],
    ["a tag of YAML 1.1", "app: !!binary aGk=\n", `1:6: YAML reads "!!binary" as a tag: ${TAG}`],
    ["text that begins with @", "app: @web\n", `1:6: text can't begin with "@" in YAML: put it in quotes`],
    ["text that begins with a backtick", "app: `web`\n", "1:6: text can't begin with \"`\" in YAML: put it in quotes"],
    ["text that begins with %", "waves: [%10]\n", `1:9: text can't begin with "%" in YAML: put it in quotes`],
    ["text that begins with *", "app: *.web\n", '1:6 app: YAML reads "*.web" as an alias, and no &.web stands before it: put text that begins with * in quotes'],
    ["an escape that is none", 'app: "C:\\dist"\n', String.raw`1:9: "\d" is no escape: write \\ for a backslash, or use single quotes`],
    ["${…} without quotes in a map", "run:\n  env: { PORT: ${ports.http} }\n", '2:16: within [ ] and { }, text with ${…} must be in quotes: "${ports.http}"'],
    ["${…} without quotes in a list", "run:\n  command: [node, --port=${ports.http}, x]\n", '2:26: within [ ] and { }, text with ${…} must be in quotes: "${ports.http}"'],
    ["an unknown directive", "%MUSTER 1\n---\napp: web\n", "1:1: not YAML: Unknown directive %MUSTER"],
    ["an alias to what it is in", "app: &a [*a]\n", '1:10 app[0]: the alias "*a" stands inside of what it stands for'],
  ])("refuses %s", (_title, text, fault) => {
    expect(faultLines(text)).toEqual([fault]);
  });

  it("tells the first fault of each line, in five lines at most", () => {
    const lines = faultLines(`a: @ @\n${"b: @\n".repeat(9)}`);
    expect(lines).toHaveLength(5);
    expect(lines[4]).toMatch(/^5:4: /);
  });

  it("refuses keys that are no names, and tells the other faults beside them", () => {
    expect(faultLines(exampleFile({ app: "A", end: "? [a, b]\n: c\n__proto__: x\n" }))).toEqual([
      "1:6 app: \"A\" is not an app's name: 1 to 63 of a-z, 0-9 and -, with no - at either end (try a)",
      '8:3: "[a, b]" can\'t be a key: write a name, or put text that begins with { or [ in quotes',
      '10:1: "__proto__" can\'t be a key: write a name, or put text that begins with { or [ in quotes',
    ]);
  });

  it("counts columns as editors do: in UTF-16 units, and a byte order mark as nothing", () => {
    expect(faultLines(`\uFEFF${exampleFile({ app: '"🚀é" ', version: "[]" })}`.replaceAll("\n", "\r\n"))).toEqual([
      "1:6 app: \"🚀é\" is not an app's name: 1 to 63 of a-z, 0-9 and -, with no - at either end",
      "2:10 version: a list where text is wanted: a version, for example 1.4.2",
    ]);
    const inFlow = faultLines("{ app: 🚀, version: [] }");
    expect(inFlow).toContain("1:8 app: \"🚀\" is not an app's name: 1 to 63 of a-z, 0-9 and -, with no - at either end");
    expect(inFlow).toContain("1:21 version: a list where text is wanted: a version, for example 1.4.2");
  });
});

describe("whatever is in the file", () => {
  it("is answered with a deployment or with faults that stand inside of the file", () => {
    const whole = exampleFile({ run: "  command: [a]\n  env: { A: '${app}' }", end: 'health:\n  - tcp: "x:1"\n    interval: 1s\n' });
    const piece = fc.oneof(fc.string({ unit: "binary", maxLength: 4 }), fc.constantFrom("[", "]", "{", "}", ": ", "\n", "\n  ", "- ", "&a ", "*a", "!x ", '"', "'", "${", "|\n", "#", "? ", "---\n", "<<: ", "\t"));
    const edit = fc.tuple(fc.nat({ max: whole.length }), fc.nat({ max: 5 }), piece);
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const text = edits.reduce((before, [at, length, inserted]) => before.slice(0, at) + inserted + before.slice(at + length), whole);
        const outcome = readDeploymentFile(Buffer.from(text));
        if (outcome.ok) return;
        const lines = Buffer.from(text).toString().replace(/^\uFEFF/, "").split("\n");
        expect(outcome.faults).not.toEqual([]);
        for (const { line, column, message } of outcome.faults) {
          expect(message).not.toMatch(/^$|undefined|\[object/);
          expect(column).toBeGreaterThan(0);
          expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? -1) + 1);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("the size of what is in the file", () => {
  const TOO_DEEP = "nested more than 32 deep: a deployment file is never so deep";
  it.each<readonly [string, string, string]>([
    ["lists in lists", "[".repeat(FILE_BYTES_MAX), `1:33: ${TOO_DEEP}`],
    ["dashes in dashes", "- ".repeat(FILE_BYTES_MAX / 2), `1:64: ${TOO_DEEP}`],
    ["maps in maps", Array.from({ length: 1_000 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n"), `32:33: ${TOO_DEEP}`],
    ["values without end", `a: [${"1, ".repeat(300_000)}]`, "1:37501: too much to read: a deployment file has some hundred values"],
    [
      "aliases of aliases",
      ["a: &a [x, x, x, x, x, x, x, x, x]", ..."bcdef".split("").map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcde"[index]}`).join(", ")}]`)].join("\n"),
      "1:26 d[4][8][6][6]: more than 5000 values, aliases counted each time",
    ],
  ])("refuses %s", (_title, text, fault) => {
    expect(faultLines(text)).toEqual([fault]);
  });

  it("tells 50 faults, in the order of their places, and how many more there are", () => {
    const lines = faultLines(exampleFile({ app: "A", end: Array.from({ length: 60 }, (_, index) => `key${index}: 1\n`).join("") }));
    expect(lines).toHaveLength(51);
    expect(lines[0]).toMatch(/^1:6 app: /);
    expect(lines[49]).toMatch(/^56:1 key48: /);
    expect(lines[50]).toBe("0:0: and 11 more faults");
  });
});
