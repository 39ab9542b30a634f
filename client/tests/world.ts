/**
 * A server and a network, as small as they can be: a log, and what links bring of it, in the order
 * in which somebody says. For what must hold whatever the order is.
 */
import type { Link, Timer } from "../src/model.js";
import type { Gap } from "../src/types.js";
import { answer, connected, event, failed, ping, Story, said } from "./model.js";

const at = (offset: number) => `c${offset}`;
const offsetOf = (cursor: string) => Number(cursor.slice(1));

export class World {
  readonly story = new Story({ maxReconnectAttempts: 2 });
  /** The log: whether the event at an offset is one that may be seen. Offsets begin at 1. */
  readonly log: boolean[] = [];
  /** Up to here the log was trimmed. */
  floor = 0;
  /** What handlers got: offsets, and holes. */
  readonly seen: (number | Gap)[] = [];
  /** How far streams were served. */
  readonly #served = new Map<number, number>();
  #start: number | null = null;

  do(type: "connect" | "disconnect" | "forceSSE" | "forcePolling" | "offline" | "online"): void {
    this.#note(this.story.do({ type }));
  }

  publish(visible: boolean): void {
    this.log.push(visible);
  }

  trim(): void {
    this.floor = Math.max(this.floor, Math.floor(this.log.length / 2));
  }

  /** Lets a timer ring, or the one that is due first. */
  ring(timer?: Timer): void {
    const { timers } = this.story.state;
    const [first] = (Object.entries(timers) as [Timer, number][]).sort((a, b) => a[1] - b[1]);
    const chosen = timer ?? first?.[0];
    if (chosen !== undefined && timers[chosen] !== undefined) this.#note(this.story.ring(chosen));
  }

  fail(which: "link" | "probe", recovery: "retry" | "fallback_polling"): void {
    const link = this.story.state[which];
    if (link !== null) this.#tell(link, failed({ recovery }));
  }

  /** A link brings the next thing that it has to bring; a poll at most `limit` events. */
  advance(which: "link" | "probe", limit: number): void {
    const link = this.story.state[which];
    if (link === null) return;
    if (link.method === "sse") this.#stream(link);
    else this.#poll(link, limit);
  }

  /** The current stream says how far it was served. */
  ping(): void {
    const { link } = this.story.state;
    const served = this.#served.get(link?.run ?? -1);
    if (link !== null && served !== undefined) this.#tell(link, ping(at(served)));
  }

  /** From the moment of its first connection everything was seen, or said to be missed. */
  get expected(): number[] {
    const from = this.#start ?? this.log.length;
    return this.log.flatMap((visible, index) => (visible && index + 1 > from ? [index + 1] : []));
  }

  #stream(link: Link): void {
    const { run } = link;
    const served = this.#served.get(run);
    if (served === undefined) {
      const asked = link.cursor === null ? this.log.length : offsetOf(link.cursor);
      const from = Math.max(asked, this.floor);
      this.#served.set(run, from);
      if (from === asked) {
        this.#tell(link, connected(at(from)));
        return;
      }
      this.#tell(link, connected(null));
      // A link that was let go of because of that does not bring the rest.
      if (this.story.state.link?.run === run) {
        const data = { from: at(asked), to: at(from), reason: "expired" } as const;
        this.#tell(link, said({ type: "gap", data }, at(from)));
      }
      return;
    }
    if (served === this.log.length) {
      this.#tell(link, ping(at(served)));
      return;
    }
    // What was trimmed while the stream was open is left out of this world.
    this.#served.set(run, served + 1);
    if (this.log[served]) {
      const cursor = at(served + 1);
      this.#tell(link, { type: "event", event: event(cursor), cursor });
    }
  }

  #poll(link: Link, limit: number): void {
    const asked = link.cursor === null ? this.log.length : offsetOf(link.cursor);
    const from = Math.max(asked, this.floor);
    const to = Math.min(this.log.length, from + limit);
    const ids = this.log
      .slice(from, to)
      .flatMap((visible, index) => (visible ? [at(from + index + 1)] : []));
    const gap =
      from === asked ? null : ({ from: at(asked), to: at(from), reason: "expired" } as const);
    this.#tell(link, answer(ids, { cursor: at(to), hasMore: to < this.log.length, gap }));
  }

  #tell(link: Link, signal: Parameters<Story["tell"]>[0]): void {
    this.#note(this.story.do({ type: "signal", run: link.run, signal }));
  }

  #note({ effects, state }: Story): void {
    for (const effect of effects) {
      if (effect.type === "event") this.seen.push(offsetOf(effect.event.id));
      if (effect.type === "control" && effect.control.type === "gap") {
        this.seen.push(effect.control.data);
      }
    }
    if (this.#start === null && state.cursor !== null) {
      // Before its first answer it was nowhere, and missed nothing.
      const first = this.seen.find((item) => typeof item === "number");
      this.#start = first === undefined ? offsetOf(state.cursor) : Number(first) - 1;
    }
  }
}

/** The offsets that lie in holes which were told. */
export function missed(seen: World["seen"]): Set<number> {
  const offsets = new Set<number>();
  for (const item of seen) {
    if (typeof item === "number") continue;
    for (let n = offsetOf(item.from) + 1; n <= offsetOf(item.to); n += 1) offsets.add(n);
  }
  return offsets;
}
