/** What tests of the reducer say often. */
import type { Failure } from "../src/failure.js";
import type { Action, Moment, Settings, Signal, State, Step } from "../src/model.js";
import { initial, reduce } from "../src/state.js";
import type { Control, Envelope, PollAnswer } from "../src/types.js";

export const SETTINGS: Settings = {
  autoReconnect: true,
  maxReconnectAttempts: 3,
  openTimeout: 10_000,
  stableAfter: 30_000,
  hold: 25_000,
  backoff: { first: 500, last: 30_000 },
  refreshable: false,
};

export const START = 1_000_000;
export const PING = 30_000;

/** Lets actions happen, one after the other. The time is the test's. */
export class Story {
  now = START;
  random = 0.5;
  state: State;
  /** Of the last action. */
  effects: Step["effects"] = [];

  constructor(settings: Partial<Settings> = {}, cursor: string | null = null) {
    this.state = initial({ ...SETTINGS, ...settings }, cursor);
  }

  do(action: Action): this {
    const moment: Moment = { now: this.now, random: this.random };
    ({ state: this.state, effects: this.effects } = reduce(this.state, action, moment));
    return this;
  }

  /** What the current link tells. */
  tell(signal: Signal): this {
    return this.do({ type: "signal", run: this.state.link?.run ?? -1, signal });
  }

  /** What the stream that is tried beside the polls tells. */
  probe(signal: Signal): this {
    return this.do({ type: "signal", run: this.state.probe?.run ?? -1, signal });
  }

  /** Goes to the moment at which a timer is due, and lets it ring. */
  ring(timer: keyof State["timers"], late = 0): this {
    const due = this.state.timers[timer];
    if (due === undefined) throw new Error(`There is no timer ${timer}.`);
    this.now = due + late;
    return this.do({ type: "timer", timer });
  }

  in(timer: keyof State["timers"]): number | undefined {
    const due = this.state.timers[timer];
    return due === undefined ? undefined : due - this.now;
  }

  get told(): string[] {
    return this.effects.map((effect) =>
      effect.type === "control"
        ? effect.control.type
        : effect.type === "event"
          ? effect.event.id
          : effect.type,
    );
  }
}

export function event(id: string, type = "notification"): Envelope {
  return {
    id,
    type,
    timestamp: START,
    priority: "normal",
    source: "server",
    version: "1.0",
    data: {},
  };
}

export function streamed(id: string): Signal {
  return { type: "event", event: event(id), cursor: id };
}

export function said(control: Control, cursor: string | null = null): Signal {
  return { type: "control", control, cursor };
}

export function connected(cursor: string | null = "c0", clientId = "client"): Signal {
  return said(
    {
      type: "connected",
      data: {
        clientId,
        serverInfo: { version: "0.1.0", capabilities: [], pingInterval: PING },
        clientInfo: { connectedAt: START, authMethod: "parameter_dev", clientType: null },
        resumed: false,
        degraded: false,
      },
    },
    cursor,
  );
}

export function ping(cursor: string): Signal {
  const data = { timestamp: START, serverTime: "", sequence: 1, head: cursor };
  return said({ type: "ping", data }, cursor);
}

export function answer(ids: string[], rest: Partial<PollAnswer> = {}): Signal {
  const cursor = ids.at(-1) ?? "c0";
  const events = ids.map((id) => event(id));
  return {
    type: "answer",
    answer: {
      userId: "alice",
      events,
      cursor,
      hasMore: false,
      gap: null,
      meta: { nextPollIn: 10_000 },
      ...rest,
    },
  };
}

export function failed(rest: Partial<Failure> = {}): Signal {
  return {
    type: "failed",
    failure: {
      code: "CLOSED",
      detail: "The stream ended.",
      category: "connection",
      recovery: "retry",
      status: null,
      retryAfter: null,
      ...rest,
    },
  };
}

export const UNAUTHORISED = failed({
  code: "AUTH_EXPIRED_TOKEN",
  category: "authentication",
  recovery: "refresh_token",
  status: 401,
});

export const LIMITED = failed({
  code: "RATE_LIMIT_EXCEEDED",
  category: "rate_limit",
  recovery: "fallback_polling",
  status: 429,
  retryAfter: 60_000,
});

/** In each phase, as one usually comes there. */
export const stories = {
  idle: (): Story => new Story(),
  authorizing: (): Story => new Story({ refreshable: true }).do({ type: "connect" }),
  opening: (): Story => new Story().do({ type: "connect" }),
  streaming: (): Story => stories.opening().tell(connected()),
  waiting: (): Story => stories.streaming().tell(failed()),
  polling: (): Story =>
    stories
      .opening()
      .tell(failed({ recovery: "fallback_polling" }))
      .ring("next")
      .tell(answer([])),
  holding: (): Story => stories.polling().ring("next"),
  shortPolling: (): Story => {
    const story = stories.polling();
    story.ring("next").tell(failed()).ring("next").tell(failed());
    return story.ring("next").tell(answer([]));
  },
  probing: (): Story => stories.holding().ring("probe"),
  offline: (): Story => stories.streaming().do({ type: "offline" }),
  frozen: (): Story => stories.streaming().do({ type: "freeze" }),
  stopped: (): Story => stories.streaming().tell(failed({ recovery: "none" })),
} satisfies Record<string, () => Story>;
