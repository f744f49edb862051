import { expect, test } from "vitest";
import { parseRange } from "./range.ts";

test.each([
  [undefined, 10, "whole"],
  ["bytes=0-0", 10, "0-0"],
  ["bytes=2-5", 10, "2-5"],
  ["bytes=2-", 10, "2-9"],
  ["bytes=2-99", 10, "2-9"],
  ["bytes=-3", 10, "7-9"],
  ["bytes=-99", 10, "0-9"],
  ["BYTES=1-2", 10, "1-2"],
  ["bytes=10-", 10, "unsatisfiable"],
  ["bytes=10-20", 10, "unsatisfiable"],
  ["bytes=-0", 10, "unsatisfiable"],
  ["bytes=0-", 0, "unsatisfiable"],
  ["bytes=-1", 0, "unsatisfiable"],
  ["bytes=5-2", 10, "whole"],
  ["bytes=-", 10, "whole"],
  ["bytes=0-1,3-4", 10, "whole"],
  ["bytes=a-b", 10, "whole"],
  ["bytes=1.5-2", 10, "whole"],
  ["bytes=0-99999999999999999999", 10, "whole"],
  ["lines=1-2", 10, "whole"],
])("of %s in %i bytes gives %s", (header, sizeBytes, expected) => {
  const range = parseRange(header, sizeBytes);
  expect(range.kind === "part" ? `${range.start}-${range.end}` : range.kind).toBe(expected);
});
