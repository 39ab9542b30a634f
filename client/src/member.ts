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
import { bring, found, keep, ready } from "./joiner.js";
import type {
  Member,
  MemberAction,
  MemberDraft,
  MemberEffect,
  MemberTimer,
  Message,
  Stretch,
  Told,
} from "./membership.js";
import type { Command, Moment } from "./model.js";
import { cameBy } from "./past.js";
import { place, post, told } from "./post.js";

/** A leader is asked whether it is there when it was silent for so long, in milliseconds. */
export const QUIET = 10_000;
/** It is robbed when it does not answer within so long, */
export const ANSWER = 5_000;
/** and up to so much longer, so that not all rob it at once. */
export const ANSWER_SPREAD = 2_000;
/** The timers of a hidden page hardly run. So long is waited for it to connect. */
export const RELIEF = 1_500;
/** How long a lock is kept after the connection has stopped, so that all others hear of it. */
export const STOPPED = 500;

/** What follows when `action` happens to `member`. */
export function step(
  member: Member,
  action: MemberAction,
  moment: Moment,
): { member: Member; effects: readonly MemberEffect[] } {
  const draft: MemberDraft = {
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

function act(draft: MemberDraft, action: MemberAction): void {
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

function inside({ role }: MemberDraft): boolean {
  return role === "following" || role === "leading";
}

function hello(draft: MemberDraft, quiet = false): void {
  post(draft, { kind: "hello", at: place(draft), hidden: draft.hidden, quiet });
  draft.asked = true;
  delete draft.timers.ask;
  draft.timers.rob ??= draft.now + ANSWER + Math.round(draft.random * ANSWER_SPREAD);
}

function lead(draft: MemberDraft, begins = false): void {
  post(draft, { kind: "lead", begins, ...told(draft) });
}

function want(draft: MemberDraft, command: Command): void {
  if (command !== "connect") draft.pinned = command === "forcePolling";
  if (draft.role === "leading") draft.effects.push({ type: "command", command });
  else if (draft.role === "following" && draft.joined) {
    if (command !== "connect") post(draft, { kind: "ask", command });
  } else {
    draft.wanted = command;
    if (!inside(draft)) enter(draft);
  }
}

function enter(draft: MemberDraft): void {
  draft.role = "following";
  draft.status = null;
  draft.joined = false;
  draft.leader = null;
  draft.effects.push({ type: "lock", steal: false });
  hello(draft);
}

/** Lets go of everything. */
function leave(draft: MemberDraft, role: "out" | "frozen", reason: string): void {
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

function quit(draft: MemberDraft, role: "out" | "frozen", after: number): void {
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
function rise(draft: MemberDraft): void {
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
function fall(draft: MemberDraft): void {
  if (draft.role === "leading") draft.effects.push({ type: "halt" });
  draft.role = "following";
  draft.joiners.clear();
  draft.seen.clear();
  draft.effects.push({ type: "lock", steal: false });
  hello(draft);
}

/** Whether anybody sees a page. */
function show(draft: MemberDraft, was: boolean): void {
  const hidden = draft.hidden && draft.seen.size === 0;
  // Coming into view is worth telling each time: it is when people look.
  if (!hidden || !was)
    draft.effects.push({ type: "page", happened: hidden ? "hidden" : "visible" });
}

function move(draft: MemberDraft, action: MemberAction & { type: "moved" }): void {
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

function hear(draft: MemberDraft, message: Message, size: number): void {
  if (draft.role === "leading") hearAsLeader(draft, message);
  else hearAsFollower(draft, message, size);
}

function hearAsLeader(draft: MemberDraft, message: Message): void {
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

function hearAsFollower(draft: MemberDraft, message: Message, size: number): void {
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

function take(
  draft: MemberDraft,
  { from, cursor, deliveries }: Told & Stretch,
  size: number,
): void {
  // Where it is to start is no cursor yet.
  if (cursor !== from) draft.cursor = cursor;
  keep(draft, from, deliveries, size);
  if (deliveries.length > 0) draft.effects.push({ type: "deliver", deliveries });
}

function join(draft: MemberDraft): void {
  draft.joined = true;
  const { wanted } = draft;
  draft.wanted = null;
  if (wanted !== null && wanted !== "connect") post(draft, { kind: "ask", command: wanted });
}

/** A leader that nobody sees may take a minute to do what takes a second. */
function watchLeader(draft: MemberDraft): void {
  const { status, hidden, unseen } = draft;
  const slow =
    !hidden &&
    unseen &&
    (status?.connectionStatus === "connecting" || status?.connectionStatus === "reconnecting");
  if (!slow) delete draft.timers.relieve;
  else draft.timers.relieve ??= draft.now + RELIEF + Math.round(draft.random * RELIEF);
}

function ring(draft: MemberDraft, timer: MemberTimer): void {
  const due = draft.timers[timer];
  if (due === undefined || due > draft.now) return;
  delete draft.timers[timer];
  if (timer === "ask") hello(draft, true);
  else draft.effects.push({ type: "lock", steal: true });
}
