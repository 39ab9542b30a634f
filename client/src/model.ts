/**
 * The life of a connection as data: what is known, what can happen, and what is to be done.
 *
 * Nothing here, in `state.ts` or in what that imports does anything. The client keeps as many links
 * and timers as the state says there are, and carries out the effects.
 */
import type { Backoff } from "./backoff.js";
import type { Failure } from "./failure.js";
import type { Control, Disconnected, Envelope, PollAnswer } from "./types.js";

/** How events are read: a ladder, the best way first. */
export type Method = "sse" | "longPolling" | "shortPolling";

/**
 * | phase | means |
 * | --- | --- |
 * | `idle` | nobody asked for a connection, or it was ended by `disconnect` |
 * | `authorizing` | a token is being fetched; nothing is open |
 * | `opening` | a link was asked for and has not proved itself |
 * | `open` | events arrive: a stream said `connected`, or a poll was answered |
 * | `waiting` | it failed, and is tried again when the timer `next` is due |
 * | `offline` | the browser says that there is no network |
 * | `frozen` | the page is frozen, or kept for going back to |
 * | `stopped` | it failed in a way that trying again does not mend, or was told to stay away |
 */
export type Phase =
  | "idle"
  | "authorizing"
  | "opening"
  | "open"
  | "waiting"
  | "offline"
  | "frozen"
  | "stopped";

/** One request to the server: a stream, or a poll. */
export interface Link {
  /** Its number. What comes from a link that is not the current one any more counts for nothing. */
  readonly run: number;
  readonly method: Method;
  /** Where it reads from; null = from the head. */
  readonly cursor: string | null;
  readonly openedAt: number;
  /** Whether an empty answer to this poll may be held. */
  readonly held: boolean;
  /** What the stream said when it opened; null before, and for polls. */
  readonly stream: { readonly clientId: string; readonly pingInterval: number } | null;
  /** Whether anything came after `connected`. */
  readonly heard: boolean;
  /** Whether the cursor covers what was polled beside this link, and what it brings of that is
   *  behind the cursor. */
  readonly behind: boolean;
}

/**
 * | timer | when it is due |
 * | --- | --- |
 * | `next` | the next link is opened: the next poll, or the next attempt |
 * | `open` | the link should have proved itself |
 * | `mute` | the stream should have said something |
 * | `stable` | the stream has lasted, and its failures are forgotten |
 * | `probe` | a stream is tried beside the polls |
 * | `probeOpen` | that stream should have proved itself |
 * | `climb` | held polls are tried again |
 * | `token` | a new token is fetched |
 */
export type Timer = "next" | "open" | "mute" | "stable" | "probe" | "probeOpen" | "climb" | "token";

/** When each timer is due, in milliseconds of the clock that `now` is of. */
export type Timers = Readonly<Partial<Record<Timer, number>>>;

export interface Settings {
  readonly autoReconnect: boolean;
  /** So many failures of streams in a row, and it polls. */
  readonly maxReconnectAttempts: number;
  /** Until when a link must have proved itself. */
  readonly openTimeout: number;
  /** How long a stream must last for its failures to be forgotten. */
  readonly stableAfter: number;
  /** How long a poll may be held. */
  readonly hold: number;
  readonly backoff: Backoff;
  /** Whether there is a way to get a token. */
  readonly refreshable: boolean;
}

export interface State {
  readonly settings: Settings;
  readonly phase: Phase;
  readonly method: Method;
  /** Whether it was told to poll: then no stream is tried. */
  readonly pinned: boolean;
  /** Everything up to here was handed to the handlers. */
  readonly cursor: string | null;
  readonly link: Link | null;
  /** A stream that is tried while polls go on. */
  readonly probe: Link | null;
  readonly timers: Timers;
  /** Failures in a row, of streams and of polls. */
  readonly sseFailures: number;
  readonly pollingFailures: number;
  /** Probes in a row that came to nothing. */
  readonly probes: number;
  /** Streams in a row that a probe won and that did not last. */
  readonly flaps: number;
  /** Ids of events that were polled while a probe was on its way: its stream brings them again. */
  readonly overlap: ReadonlySet<string>;
  readonly token: "none" | "held";
  /** The number of the token that is being fetched, if one is. */
  readonly fetching: number | null;
  /** When the token should be replaced, as far as that is known. */
  readonly tokenDue: number | null;
  readonly tokenFailures: number;
  /** Whether a 401 was answered by a new token, and that has not proved itself since. */
  readonly refreshed: boolean;
  /** Before that the server does not want to be asked again. */
  readonly notBefore: number;
  readonly hidden: boolean;
  /** Why it is not, or was last not, connected. */
  readonly reason: string | null;
  readonly error: Failure | null;
  /** The number of the newest link or token. */
  readonly runs: number;
}

/** What links tell. */
export type Signal =
  | { readonly type: "event"; readonly event: Envelope; readonly cursor: string | null }
  | { readonly type: "control"; readonly control: Control; readonly cursor: string | null }
  | { readonly type: "answer"; readonly answer: PollAnswer }
  | { readonly type: "retry"; readonly after: number }
  | { readonly type: "failed"; readonly failure: Failure };

/** What somebody wants of a connection. */
export type Command = "connect" | "disconnect" | "reconnect" | "forceSSE" | "forcePolling";

export type Action =
  | { readonly type: Command }
  | { readonly type: "signal"; readonly run: number; readonly signal: Signal }
  | { readonly type: "timer"; readonly timer: Timer }
  | { readonly type: "token"; readonly run: number; readonly refreshAfter: number | null }
  | { readonly type: "tokenFailed"; readonly run: number; readonly failure: Failure }
  | {
      readonly type: "offline" | "online" | "hidden" | "visible" | "freeze" | "resume";
    };

/** What time it is, and a random number from 0 up to but not including 1. */
export interface Moment {
  readonly now: number;
  readonly random: number;
}

/** What is for handlers. */
export type Delivery =
  | { readonly type: "event"; readonly event: Envelope }
  | {
      readonly type: "control";
      readonly control: Control | { readonly type: "disconnected"; readonly data: Disconnected };
    }
  | { readonly type: "error"; readonly failure: Failure; readonly fatal: boolean };

export type Effect =
  | Delivery
  | { readonly type: "fetchToken"; readonly run: number }
  | { readonly type: "extend"; readonly clientId: string };

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}
