/**
 * The life of a tab among those that share a connection as data: what is known, what can happen,
 * what is to be done, and what tabs tell one another.
 */
import type { Command, Delivery } from "./model.js";
import { NOTHING_YET, type Past } from "./past.js";
import type { Status } from "./status.js";
import type { PollAnswer } from "./types.js";

/**
 * | role | means |
 * | --- | --- |
 * | `out` | nobody asked for a connection, or it has ended |
 * | `frozen` | the page is frozen, or kept for going back to |
 * | `following` | it waits for the lock, and takes what the leader tells |
 * | `leading` | it has the lock, and runs the connection |
 */
export type Role = "out" | "frozen" | "following" | "leading";

/**
 * | timer | when it is due |
 * | --- | --- |
 * | `ask` | the leader is asked whether it is there |
 * | `rob` | it should have answered |
 * | `relieve` | a leader that nobody sees should have connected |
 */
export type MemberTimer = "ask" | "rob" | "relieve";

/** Somebody who is being brought in. */
export interface Joiner {
  /** Where it stands; null: where the head was. */
  readonly at: string | null;
  /** Whether the log is being asked for it. */
  readonly asked: boolean;
  /** Before that it is not asked again. */
  readonly notBefore: number;
}

export interface Member {
  readonly id: string;
  readonly role: Role;
  /** Where it was told to start: a cursor, milliseconds, `earliest` or `latest`. */
  readonly start: string;
  /** Everything up to here was handed to the handlers. */
  readonly cursor: string | null;
  /** How the connection stands, as far as it is known here. */
  readonly status: Status | null;
  /** Whether it stands somewhere since it entered: from there on nothing is missed. */
  readonly joined: boolean;
  /** Whether it has said where it stands, and is not yet brought in. */
  readonly asked: boolean;
  readonly leader: string | null;
  /** Whether the leader's page is hidden, and ours. */
  readonly unseen: boolean;
  readonly hidden: boolean;
  /** What is to be done once it is known who leads. */
  readonly wanted: Command | null;
  /** Whether it was told to poll. */
  readonly pinned: boolean;
  readonly past: Past;
  readonly joiners: ReadonlyMap<string, Joiner>;
  /** Which of the others are seen. */
  readonly seen: ReadonlySet<string>;
  readonly timers: Readonly<Partial<Record<MemberTimer, number>>>;
}

/** What tabs tell one another. */
export type Message = {
  readonly by: string;
} /** `quiet`: whether nothing was heard for long. */ & (
  | {
      readonly kind: "hello";
      readonly at: string | null;
      readonly hidden: boolean;
      readonly quiet: boolean;
    }
  | { readonly kind: "bye" }
  | { readonly kind: "ask"; readonly command: Command }
  /** `begins`: whether it has just begun to lead, and has heard of nobody yet. */
  | ({ readonly kind: "lead"; readonly begins: boolean } & Told)
  | ({ readonly kind: "news" } & Told & Stretch)
  | ({ readonly kind: "page"; readonly to: string; readonly last: boolean } & Told & Stretch)
);

/** What a leader says each time. */
export interface Told {
  readonly status: Status | null;
  readonly hidden: boolean;
  /** Where it stands, or where what it says ends. */
  readonly cursor: string | null;
}

/** What came between two cursors. */
export interface Stretch {
  readonly from: string | null;
  readonly deliveries: readonly Delivery[];
}

export type MemberAction =
  | { readonly type: Command | "granted" | "robbed" | "hidden" | "visible" | "freeze" | "resume" }
  | { readonly type: "message"; readonly message: Message; readonly size: number }
  | { readonly type: "timer"; readonly timer: MemberTimer }
  /** Our connection has moved. */
  | {
      readonly type: "moved";
      readonly from: string | null;
      readonly cursor: string | null;
      readonly deliveries: readonly Delivery[];
      readonly status: Status;
    }
  /** The log was asked for somebody; null: in vain. */
  | {
      readonly type: "read";
      readonly to: string;
      readonly from: string | null;
      readonly answer: PollAnswer | null;
    };

export type MemberEffect =
  | { readonly type: "post"; readonly text: string }
  | { readonly type: "lock"; readonly steal: boolean }
  | { readonly type: "unlock"; readonly after: number }
  /** Makes a connection that starts from the cursor. */
  | { readonly type: "run"; readonly command: Command; readonly cursor: string | null }
  | { readonly type: "command"; readonly command: Command }
  | { readonly type: "halt" }
  /** Tells the connection whether anybody sees a page. */
  | { readonly type: "page"; readonly happened: "hidden" | "visible" }
  | {
      readonly type: "read";
      readonly to: string;
      /** null: from the head. */
      readonly from: string | null;
      readonly until: string;
    }
  | { readonly type: "deliver"; readonly deliveries: readonly Delivery[] };

/** A tab that nobody has asked to connect. */
export function outside(id: string, start: string, cursor: string | null): Member {
  return {
    id,
    role: "out",
    start,
    cursor,
    status: null,
    joined: false,
    asked: false,
    leader: null,
    unseen: false,
    hidden: false,
    wanted: null,
    pinned: false,
    past: NOTHING_YET,
    joiners: new Map(),
    seen: new Set(),
    timers: {},
  };
}

/** A member on its way to the next: what is written on while an action happens. */
export type MemberDraft = { -readonly [Key in keyof Member]: Member[Key] } & {
  joiners: Map<string, Joiner>;
  seen: Set<string>;
  timers: Partial<Record<MemberTimer, number>>;
  readonly now: number;
  readonly random: number;
  readonly effects: MemberEffect[];
};
