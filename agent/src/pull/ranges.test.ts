import fc from "fast-check";
import { expect, test } from "vitest";
import { planRanges, type Frame } from "./ranges.ts";

const frames = fc.array(fc.record({ frameOffset: fc.nat({ max: 500 }), frameBytes: fc.integer({ min: 1, max: 60 }) }), { maxLength: 40 });
const limits = fc.record({ gapBytesMax: fc.nat({ max: 30 }), rangeBytesMax: fc.integer({ min: 1, max: 200 }) });

test("every frame is in exactly one range, and each range keeps the limits", () => {
  fc.assert(
    fc.property(frames, limits, (given, { gapBytesMax, rangeBytesMax }) => {
      const ranges = planRanges(given, { gapBytesMax, rangeBytesMax });
      const order = (a: Frame, b: Frame): number => a.frameOffset - b.frameOffset || a.frameBytes - b.frameBytes;
      expect(ranges.flatMap((range) => range.frames).sort(order)).toEqual([...given].sort(order));
      for (const range of ranges) {
        expect(range.sizeBytes <= rangeBytesMax || range.frames.length === 1).toBe(true);
        let end = range.offset;
        for (const [index, frame] of range.frames.entries()) {
          expect(frame.frameOffset).toBeGreaterThanOrEqual(end);
          expect(frame.frameOffset - end).toBeLessThanOrEqual(index === 0 ? 0 : gapBytesMax);
          end = frame.frameOffset + frame.frameBytes;
        }
        expect(end).toBe(range.offset + range.sizeBytes);
      }
    }),
  );
});

test("a small gap is fetched with its neighbours, a large one is left out", () => {
  const given = [0, 15, 100].map((frameOffset) => ({ frameOffset, frameBytes: 10 }));
  const ranges = planRanges(given, { gapBytesMax: 5, rangeBytesMax: 1000 });
  expect(ranges.map(({ offset, sizeBytes }) => [offset, sizeBytes])).toEqual([
    [0, 25],
    [100, 10],
  ]);
});
