import { expect, test } from "vitest";
import { table } from "./table.ts";
import { width } from "./text.ts";

const COLUMNS = [{ title: "ID", isFixed: true }, { title: "COUNT", align: "right" as const }, { title: "WHY" }];
const ROWS = [
  [{ text: "d-7" }, { text: "3" }, { text: "web-4 and web-5 have not become healthy yet" }],
  [{ text: "d-10" }, { text: "12" }, { text: "" }],
];

test("gives each column what it needs, when there is room", () => {
  expect(table(COLUMNS, ROWS, 80, String)).toEqual([
    "ID    COUNT  WHY",
    "d-7       3  web-4 and web-5 have not become healthy yet",
    "d-10     12",
  ]);
});

test.each([20, 30, 40])("stays within %d columns, and the widest column gives way", (columns) => {
  const lines = table(COLUMNS, ROWS, columns, String);
  for (const line of lines) expect(width(line)).toBeLessThanOrEqual(columns);
  expect(lines[1]).toContain("d-7");
  expect(lines[1]).toContain("…");
});

test("never cuts what the user copies, however narrow the terminal", () => {
  expect(table([{ title: "ID", isFixed: true }], [[{ text: "a-very-long-machine-name" }]], 10, String)[1]).toBe("a-very-long-machine-name");
});

test("leaves out what can be spared before it overflows", () => {
  const columns = [{ title: "ID", isFixed: true }, { title: "SPARE", isSpare: true }, { title: "WHY" }];
  const rows = [[{ text: "d-7" }, { text: "spare-text" }, { text: "because of it" }]];
  expect(table(columns, rows, 12, String)).toEqual(["ID   WHY", "d-7  becaus…"]);
  expect(table(columns, rows, 80, String)[0]).toContain("SPARE");
});

test("cuts no title, and leaves a column that says why enough to say it, while there is something else to leave out", () => {
  const columns = [{ title: "ID", isFixed: true }, { title: "SUBMITTED", isSpare: true }, { title: "HEALTHY" }, { title: "WHY", isWide: true }];
  const rows = [[{ text: "d-7" }, { text: "1m ago by anna" }, { text: "3/3" }, { text: "web-4 and web-5 have not become healthy" }]];
  expect(table(columns, rows, 48, String)).toEqual(["ID   HEALTHY  WHY", "d-7  3/3      web-4 and web-5 have not become h…"]);
  expect(table(columns, rows, 60, String)[0]).toBe("ID   SUBMITTED       HEALTHY  WHY");
  expect(table(columns, rows, 24, String)[1]).toBe("d-7  3/3      web-4 and…");
});

test("is nothing at all without rows", () => {
  expect(table(COLUMNS, [], 80, String)).toEqual([]);
});
