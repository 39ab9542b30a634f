/**
 * The life of a tab among those that share a connection, as a function: `step(member, action, now)`.
 *
 * The rules, from the top:
 *
 * - Each tab has a cursor of its own. Whatever comes from another tab says between which cursors
 *   it lies, and is taken only by whoever stands where it begins. So it does not matter who sent
 *   it, when it comes, or whether some of it was lost: nothing is missed, and nothing comes twice.
 * - One tab leads: it holds the lock, runs the connection, and tells the others what comes. The
 *   lock is the browser's; it passes on at once when the leader is closed or dies.
 * - Who stands elsewhere says where, and is brought in: from what the leader remembers, or from
 *   the log. From then on it stands where the leader stands.
 * - A leader that does not answer is robbed of the lock. A frozen tab leaves, and comes back.
 */
import type { Command, Delivery } from "./model.js";
import { cameBy, extended, NOTHING_YET, type Past, since } from "./past.js";
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

/** A leader is asked whether it is there when it was silent for so long, in milliseconds. */
export const QUIET = 10_000;
/** It is robbed when it does not answer within so long, */
export const ANSWER = 5_000;
/** and up to so much longer, so that not all rob it at once. */
export const ANSWER_SPREAD = 2_000;
/** The timers of a hidden page hardly run. So long is waited for it to connect. */
export const RELIEF = 1_500;
/** After the log was asked in vain it is not asked again for so long. */
export const READ_REST = 5_000;
/** How long a lock is kept after the connection has stopped, so that all others hear of it. */
export const STOPPED = 500;

/** Somebody who is being brought in. */
interface Joiner {
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
  | ({ readonly kind: "news" } & Told & Step)
  | ({ readonly kind: "page"; readonly to: string; readonly last: boolean } & Told & Step)
);

/** What a leader says each time. */
interface Told {
  readonly status: Status | null;
  readonly hidden: boolean;
  /** Where it stands, or where what it says ends. */
  readonly cursor: string | null;
}

interface Step {
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

export interface Moment {
  readonly now: number;
  readonly random: number;
}

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

/** What follows when `action` happens to `member`. */
export function step(
  member: Member,
  action: MemberAction,
  moment: Moment,
): { member: Member; effects: readonly MemberEffect[] } {
  const draft: Draft = {
    ...member,
    joiners: new Map(member.joiners),
    seen: new Set(member.seen),
    timers: { ...member.timers },
    now: moment.now,
    random: moment.random,
    effects: [],
  };
  act(draft, action);
  const { now: _, random: __, effects, ...next } = draft;
  return { member: next, effects };
}

type Draft = { -readonly [Key in keyof Member]: Member[Key] } & {
  joiners: Map<string, Joiner>;
  seen: Set<string>;
  timers: Partial<Record<MemberTimer, number>>;
  readonly now: number;
  readonly random: number;
  readonly effects: MemberEffect[];
};

function act(draft: Draft, action: MemberAction): void {
  switch (action.type) {
    case "connect":
    case "reconnect":
    case "forceSSE":
    case "forcePolling":
      want(draft, action.type);
      return;
    case "disconnect":
      if (inside(draft)) leave(draft, "out", "disconnect");
      draft.role = "out";
      draft.status = null;
      return;
    case "freeze":
      if (inside(draft)) leave(draft, "frozen", "freeze");
      return;
    case "resume":
      if (draft.role === "frozen") enter(draft);
      return;
    case "hidden":
    case "visible":
      draft.hidden = action.type === "hidden";
      if (draft.role === "leading") {
        show(draft, draft.hidden);
        lead(draft);
      } else if (draft.role === "following") {
        hello(draft);
        watchLeader(draft);
      }
      return;
    case "granted":
      if (draft.role === "following") rise(draft);
      return;
    case "robbed":
      if (inside(draft)) fall(draft);
      return;
    case "moved":
      if (draft.role === "leading") move(draft, action);
      return;
    case "read":
      if (draft.role === "leading") found(draft, action);
      return;
    case "message":
      if (inside(draft)) hear(draft, action.message, action.size);
      return;
    case "timer":
      ring(draft, action.timer);
      return;
  }
}

function inside({ role }: Draft): boolean {
  return role === "following" || role === "leading";
}

/** Where it stands, or is to start; null: at the head. */
function place(draft: Draft, cursor = draft.cursor): string | null {
  return cursor ?? (draft.start === "latest" ? null : draft.start);
}

type Unsigned<Kind> = Kind extends Message ? Omit<Kind, "by"> : never;

function post(draft: Draft, message: Unsigned<Message>): number {
  const text = JSON.stringify({ ...message, by: draft.id });
  draft.effects.push({ type: "post", text });
  return text.length;
}

function hello(draft: Draft, quiet = false): void {
  post(draft, { kind: "hello", at: place(draft), hidden: draft.hidden, quiet });
  draft.asked = true;
  delete draft.timers.ask;
  draft.timers.rob ??= draft.now + ANSWER + Math.round(draft.random * ANSWER_SPREAD);
}

function lead(draft: Draft, begins = false): void {
  post(draft, { kind: "lead", begins, ...told(draft) });
}

function told(draft: Draft): Told {
  const { status, hidden } = draft;
  return { status, hidden, cursor: place(draft) };
}

function want(draft: Draft, command: Command): void {
  if (command !== "connect") draft.pinned = command === "forcePolling";
  if (draft.role === "leading") draft.effects.push({ type: "command", command });
  else if (draft.role === "following" && draft.joined) {
    if (command !== "connect") post(draft, { kind: "ask", command });
  } else {
    draft.wanted = command;
    if (!inside(draft)) enter(draft);
  }
}

function enter(draft: Draft): void {
  draft.role = "following";
  draft.status = null;
  draft.joined = false;
  draft.leader = null;
  draft.effects.push({ type: "lock", steal: false });
  hello(draft);
}

/** Lets go of everything. */
function leave(draft: Draft, role: "out" | "frozen", reason: string): void {
  const { status } = draft;
  if (status?.isConnected) {
    const data = { reason, willReconnect: role === "frozen", nextIn: null };
    const control = { type: "disconnected", data } as const;
    draft.effects.push({ type: "deliver", deliveries: [{ type: "control", control }] });
  }
  draft.status = null;
  draft.wanted = null;
  quit(draft, role, 0);
  post(draft, { kind: "bye" });
}

function quit(draft: Draft, role: "out" | "frozen", after: number): void {
  if (draft.role === "leading") draft.effects.push({ type: "halt" });
  draft.effects.push({ type: "unlock", after });
  draft.role = role;
  draft.leader = null;
  // Nobody watches the page any more.
  if (role === "out") draft.hidden = false;
  draft.joiners.clear();
  draft.seen.clear();
  draft.timers = {};
}

/** It has the lock. */
function rise(draft: Draft): void {
  draft.role = "leading";
  draft.leader = null;
  draft.joined = true;
  draft.timers = {};
  const { wanted, pinned } = draft;
  const command =
    pinned && wanted !== "forceSSE" && wanted !== "reconnect" ? "forcePolling" : wanted;
  draft.effects.push({ type: "run", command: command ?? "connect", cursor: draft.cursor });
  draft.wanted = null;
  show(draft, draft.hidden);
  lead(draft, true);
}

/** Somebody took the lock: we did not answer. Perhaps before we knew that it was ours. */
function fall(draft: Draft): void {
  if (draft.role === "leading") draft.effects.push({ type: "halt" });
  draft.role = "following";
  draft.joiners.clear();
  draft.seen.clear();
  draft.effects.push({ type: "lock", steal: false });
  hello(draft);
}

/** Whether anybody sees a page. */
function show(draft: Draft, was: boolean): void {
  const hidden = draft.hidden && draft.seen.size === 0;
  // Coming into view is worth telling each time: it is when people look.
  if (!hidden || !was)
    draft.effects.push({ type: "page", happened: hidden ? "hidden" : "visible" });
}

function move(draft: Draft, action: MemberAction & { type: "moved" }): void {
  const { deliveries, status } = action;
  const changed = status !== draft.status || action.from !== action.cursor;
  if (deliveries.length === 0 && !changed) return;
  const from = place(draft, action.from);
  draft.status = status;
  draft.cursor = action.cursor;
  const size = post(draft, { kind: "news", from, deliveries, ...told(draft) });
  keep(draft, from, deliveries, size);
  if (deliveries.length > 0) draft.effects.push({ type: "deliver", deliveries });
  if (status.connectionStatus === "stopped") {
    quit(draft, "out", STOPPED);
    return;
  }
  for (const [to, joiner] of draft.joiners) if (ready(draft, joiner)) bring(draft, to, joiner.at);
}

/** Keeps what belongs to the log. How a connection stood is of no use later. */
function keep(
  draft: Draft,
  from: string | null,
  deliveries: readonly Delivery[],
  size: number,
): void {
  if (from === draft.cursor) return;
  const lasting = deliveries.filter(
    (delivery) =>
      delivery.type === "event" || (delivery.type === "control" && delivery.control.type === "gap"),
  );
  draft.past = extended(draft.past, { from, cursor: draft.cursor, deliveries: lasting, size });
}

function ready({ now }: Draft, joiner: Joiner): boolean {
  return !joiner.asked && joiner.notBefore <= now;
}

/** Brings somebody in who stands at `at`. */
function bring(draft: Draft, to: string, at: string | null): void {
  const { cursor } = draft;
  const here = place(draft);
  const missed = at === here ? [] : at === null ? null : since(draft.past, at);
  if (missed !== null) {
    draft.joiners.delete(to);
    page(draft, to, at, here, missed, true);
    return;
  }
  // Before we are somewhere ourselves there is nowhere to bring it.
  draft.joiners.set(to, { at, asked: cursor !== null, notBefore: 0 });
  if (cursor !== null) {
    draft.effects.push({ type: "read", to, from: at, until: cursor });
  }
}

function page(
  draft: Draft,
  to: string,
  from: string | null,
  cursor: string | null,
  deliveries: readonly Delivery[],
  last: boolean,
): void {
  post(draft, { kind: "page", to, last, from, deliveries, ...told(draft), cursor });
}

/** What the log had for somebody. */
function found(draft: Draft, { to, from, answer }: MemberAction & { type: "read" }): void {
  const joiner = draft.joiners.get(to);
  // It may have left and come back meanwhile, and stand elsewhere.
  if (joiner?.at !== from) return;
  if (answer === null) {
    draft.joiners.set(to, { ...joiner, asked: false, notBefore: draft.now + READ_REST });
    return;
  }
  const deliveries: Delivery[] = answer.events.map((event) => ({ type: "event", event }));
  if (answer.gap !== null) {
    deliveries.unshift({ type: "control", control: { type: "gap", data: answer.gap } });
  }
  page(draft, to, joiner.at, answer.cursor, deliveries, false);
  draft.joiners.set(to, { at: answer.cursor, asked: false, notBefore: 0 });
  // Where the log goes on beyond us, or is not yet where we are, it waits until we have moved.
  if (answer.hasMore || since(draft.past, answer.cursor) || answer.cursor === draft.cursor) {
    bring(draft, to, answer.cursor);
  }
}

function hear(draft: Draft, message: Message, size: number): void {
  if (draft.role === "leading") hearAsLeader(draft, message);
  else hearAsFollower(draft, message, size);
}

function hearAsLeader(draft: Draft, message: Message): void {
  const { by } = message;
  switch (message.kind) {
    case "hello": {
      const was = draft.hidden && draft.seen.size === 0;
      if (message.hidden) draft.seen.delete(by);
      else draft.seen.add(by);
      // Where nothing is heard, our own timers may sleep in a hidden page.
      const awaited = message.quiet && !message.hidden;
      if (awaited || was !== (draft.hidden && draft.seen.size === 0)) show(draft, was);
      // What it is being brought already it has, or says so when that has come.
      const joiner = draft.joiners.get(by);
      if (joiner === undefined || ready(draft, joiner)) bring(draft, by, message.at);
      // Reading may take a while.
      if (draft.joiners.has(by)) lead(draft);
      return;
    }
    case "bye":
      draft.joiners.delete(by);
      draft.seen.delete(by);
      return;
    case "ask":
      want(draft, message.command);
      return;
  }
}

function hearAsFollower(draft: Draft, message: Message, size: number): void {
  if (!("cursor" in message)) return;
  if (message.kind === "page" && message.to !== draft.id) return;
  draft.leader = message.by;
  // The same object as long as it says the same.
  if (JSON.stringify(message.status) !== JSON.stringify(draft.status)) {
    draft.status = message.status;
  }
  draft.unseen = message.hidden;
  delete draft.timers.rob;
  draft.timers.ask = draft.now + QUIET;
  watchLeader(draft);
  if (message.kind === "lead") {
    if (message.begins) hello(draft);
    return;
  }
  const last = message.kind === "page" && message.last;
  if (message.from === place(draft)) {
    take(draft, message, size);
    if (last) draft.asked = false;
    if (message.kind === "page") join(draft);
  } else if (last || !(draft.asked || cameBy(draft.past, message.cursor))) {
    // We stand elsewhere.
    hello(draft);
  }
  if (message.status?.connectionStatus === "stopped") quit(draft, "out", 0);
}

function take(draft: Draft, { from, cursor, deliveries }: Told & Step, size: number): void {
  // Where it is to start is no cursor yet.
  if (cursor !== from) draft.cursor = cursor;
  keep(draft, from, deliveries, size);
  if (deliveries.length > 0) draft.effects.push({ type: "deliver", deliveries });
}

function join(draft: Draft): void {
  draft.joined = true;
  const { wanted } = draft;
  draft.wanted = null;
  if (wanted !== null && wanted !== "connect") post(draft, { kind: "ask", command: wanted });
}

/** A leader that nobody sees may take a minute to do what takes a second. */
function watchLeader(draft: Draft): void {
  const { status, hidden, unseen } = draft;
  const slow =
    !hidden &&
    unseen &&
    (status?.connectionStatus === "connecting" || status?.connectionStatus === "reconnecting");
  if (!slow) delete draft.timers.relieve;
  else draft.timers.relieve ??= draft.now + RELIEF + Math.round(draft.random * RELIEF);
}

function ring(draft: Draft, timer: MemberTimer): void {
  const due = draft.timers[timer];
  if (due === undefined || due > draft.now) return;
  delete draft.timers[timer];
  if (timer === "ask") hello(draft, true);
  else draft.effects.push({ type: "lock", steal: true });
}
