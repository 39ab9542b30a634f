/** Between which limits waits grow, in milliseconds. */
export interface Backoff {
  first: number;
  last: number;
}

/**
 * How long to wait before attempt number `attempt` (0 is the first one after a failure), with full
 * jitter: anything between nothing and a limit that doubles each time. A whole crowd that lost the
 * same server comes back spread out.
 *
 * @param random from 0 up to but not including 1; given, so that the answer is a function of it.
 *
 * @example
 * backoff(3, 0.5, { first: 500, last: 30_000 }) // 2000, of at most 4000
 */
export function backoff(attempt: number, random: number, { first, last }: Backoff): number {
  // 2 ** 1024 is infinite, and 0 times that is no number.
  return Math.round(random * Math.min(last, first * 2 ** Math.min(attempt, 30)));
}
