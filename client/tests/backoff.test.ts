import { expect, test } from "vitest";
import { backoff } from "../src/backoff.js";

const LIMITS = { first: 500, last: 30_000 };

test.each([
  [0, 0.5, 250],
  [1, 0.5, 500],
  [3, 0.5, 2_000],
  [10, 0.5, 15_000],
  [5_000, 0.5, 15_000],
  [5_000, 0, 0],
])("attempt %i with %d waits %i ms", (attempt, random, expected) => {
  expect(backoff(attempt, random, LIMITS)).toBe(expected);
});
