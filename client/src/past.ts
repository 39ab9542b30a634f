/**
 * What came lately, and between which cursors: a chain in which each part begins where the one
 * before it ended. Whoever stands at one of its joints is brought up to its end from it.
 */
import type { Delivery } from "./model.js";

/** A part of the chain. */
export interface Part {
  readonly from: string | null;
  readonly cursor: string | null;
  readonly deliveries: readonly Delivery[];
  /** Its length as text, in characters. */
  readonly size: number;
}

export interface Past {
  readonly parts: readonly Part[];
  readonly size: number;
}

/** So many characters are kept at most, */
export const KEPT_SIZE = 1_000_000;
/** and so many parts: a quiet log makes many small ones. */
export const KEPT_PARTS = 1_000;

export const NOTHING_YET: Past = { parts: [], size: 0 };

/** The chain with another part; that alone, where it does not follow. */
export function extended(past: Past, part: Part): Past {
  const follows = past.parts[past.parts.length - 1]?.cursor === part.from;
  const parts = follows ? [...past.parts, part] : [part];
  let size = follows ? past.size + part.size : part.size;
  let first = 0;
  for (const { size: passed } of parts) {
    if (size <= KEPT_SIZE && parts.length - first <= KEPT_PARTS) break;
    size -= passed;
    first += 1;
  }
  return { parts: first === 0 ? parts : parts.slice(first), size };
}

/** What came after a cursor; null if that is not known. */
export function since({ parts }: Past, cursor: string | null): readonly Delivery[] | null {
  if (parts.length === 0) return null;
  if (parts[parts.length - 1]?.cursor === cursor) return [];
  const first = parts.findIndex(({ from }) => from === cursor);
  return first < 0 ? null : parts.slice(first).flatMap(({ deliveries }) => deliveries);
}

/** Whether it has come by there. */
export function cameBy({ parts }: Past, cursor: string | null): boolean {
  return parts.some((part) => part.cursor === cursor);
}
