/**
 * A browser, as small as it can be: tabs, the lock that one of them has, what they post to one
 * another, and a log that the leader's connection reads. For what must hold whatever the order is.
 */
import { step } from "../src/member.js";
import {
  type Member,
  type MemberAction,
  type MemberEffect,
  type MemberTimer,
  type Message,
  outside,
} from "../src/membership.js";
import type { Command, Delivery } from "../src/model.js";
import { initial } from "../src/state.js";
import { type Status, statusOf } from "../src/status.js";
import { event, SETTINGS } from "./model.js";

const at = (offset: number) => `c${offset}`;
export const offsetOf = (cursor: string) => Number(cursor.slice(1));
const IDLE = statusOf(initial(SETTINGS), null);
const status = (connectionStatus: Status["connectionStatus"]): Status => ({
  ...IDLE,
  connectionStatus,
  isConnected: connectionStatus === "connected",
});

/** One request to the log on somebody's behalf. */
interface Read {
  readonly to: string;
  readonly from: string | null;
  readonly until: string;
}

export class Tab {
  member: Member;
  alive = true;
  /** What was posted to it and has not come, by whom, in order. */
  readonly inbox = new Map<string, string[]>();
  /** What its handlers got. */
  readonly seen: number[] = [];
  /** From there on it was promised everything. */
  promised: number | null = null;
  /** Its connection, if it has one: where it stands, and whether it is open. */
  connection: { cursor: number | null; open: boolean; status: Status } | null = null;
  readonly reads: Read[] = [];
  /** What its connection was told to do, and whether it believes that nobody looks. */
  readonly commands: Command[] = [];
  hidden = false;
  /** How often it was told that somebody looks. */
  looked = 0;
  /** The number of what it asked of the lock; 0: nothing. */
  claim = 0;

  constructor(
    readonly id: string,
    start: string,
  ) {
    this.member = outside(id, start, null);
    if (start !== "latest") this.promised = offsetOf(start);
  }
}

export class Browser {
  readonly tabs: Tab[] = [];
  /** Whether the event at an offset is one that may be seen. Offsets begin at 1. */
  readonly log: boolean[] = [];
  now = 0;
  #holder: Tab | null = null;
  readonly #waiting: Tab[] = [];
  #claims = 0;
  /** What is to happen after everything else. */
  readonly #later: (() => unknown)[] = [];
  /** What the browser is about to say of the lock. */
  readonly #said: { tab: Tab; claim: number; type: "granted" | "robbed" }[] = [];

  open(start: string): Tab {
    const tab = new Tab(`t${this.tabs.length}`, start);
    this.tabs.push(tab);
    this.act(tab, { type: "connect" });
    return tab;
  }

  publish(visible: boolean): void {
    this.log.push(visible);
  }

  act(tab: Tab, action: MemberAction): void {
    if (!tab.alive) return;
    const before = tab.member;
    const { member, effects } = step(tab.member, action, { now: this.now, random: 0.5 });
    tab.member = member;
    const inside = member.role === "following" || member.role === "leading";
    for (const effect of effects) this.#perform(tab, effect);
    // Where it has been brought in, or its connection opened, the promise begins.
    if (tab.promised === null && tab.member.cursor !== null) {
      tab.promised = (tab.seen[0] ?? offsetOf(tab.member.cursor) + 1) - 1;
    }
    if (!inside && before.role !== member.role) tab.inbox.clear();
  }

  /** The tab is gone at once, whatever it was doing. */
  crash(tab: Tab): void {
    tab.alive = false;
    tab.connection = null;
    tab.inbox.clear();
    this.#release(tab);
  }

  /** The browser says what became of the lock. */
  tell(): boolean {
    const said = this.#said.shift();
    if (said === undefined) return false;
    const { tab, claim, type } = said;
    // What became of a claim that was given up is no news.
    if (tab.claim !== claim) return true;
    if (type === "robbed") tab.claim = 0;
    this.act(tab, { type });
    return true;
  }

  /** Something that was posted comes. */
  receive(tab: Tab, from: number): boolean {
    const senders = [...tab.inbox].filter(([, texts]) => texts.length > 0);
    const texts = senders[from % Math.max(1, senders.length)]?.[1];
    const text = texts?.shift();
    if (text === undefined) return false;
    this.act(tab, { type: "message", message: JSON.parse(text) as Message, size: text.length });
    return true;
  }

  /** The connection of a tab does the next thing: it opens, brings some events, or pings. */
  advance(tab: Tab, events: number): boolean {
    const { connection } = tab;
    if (connection === null) return false;
    const from = connection.cursor;
    if (!connection.open) {
      connection.open = true;
      const start = tab.member.start;
      connection.cursor ??= start === "latest" ? this.log.length : offsetOf(start);
      this.#move(tab, from, [], "connected");
      return true;
    }
    const first = connection.cursor as number;
    const last = Math.min(this.log.length, first + events);
    const deliveries: Delivery[] = [];
    for (let offset = first + 1; offset <= last; offset += 1) {
      if (this.log[offset - 1]) deliveries.push({ type: "event", event: event(at(offset)) });
    }
    if (last === first) return false;
    connection.cursor = last;
    this.#move(tab, from, deliveries, "connected");
    return true;
  }

  cut(tab: Tab, connectionStatus: "reconnecting" | "stopped" = "reconnecting"): void {
    const { connection } = tab;
    if (connection === null) return;
    connection.open = false;
    this.#move(tab, connection.cursor, [], connectionStatus);
  }

  /** The log answers what somebody asked on another's behalf, or fails to. */
  answer(tab: Tab, limit: number, well: boolean, lag = 0): boolean {
    const read = tab.reads.shift();
    if (read === undefined) return false;
    if (!well) {
      this.act(tab, { type: "read", to: read.to, from: read.from, answer: null });
      return true;
    }
    // A node may not know yet what another has told.
    const head = Math.max(0, this.log.length - lag);
    const from = read.from === null ? head : offsetOf(read.from);
    const end = Math.max(from, Math.min(head, offsetOf(read.until)));
    const last = Math.min(end, from + limit);
    const events = [];
    for (let offset = from + 1; offset <= last; offset += 1) {
      if (this.log[offset - 1]) events.push(event(at(offset)));
    }
    const answer = {
      userId: "alice",
      events,
      cursor: at(last),
      hasMore: last < end,
      gap: null,
      meta: { nextPollIn: 0 },
    };
    this.act(tab, { type: "read", to: read.to, from: read.from, answer });
    return true;
  }

  ring(tab: Tab): boolean {
    const [first] = (Object.entries(tab.member.timers) as [MemberTimer, number][]).sort(
      (a, b) => a[1] - b[1],
    );
    if (first === undefined) return false;
    this.now = Math.max(this.now, first[1]);
    this.act(tab, { type: "timer", timer: first[0] });
    return true;
  }

  /** Lets everything happen that is on its way, until nothing is. */
  settle(): void {
    for (let turn = 0; turn < 10_000; turn += 1) {
      let happened = this.tell();
      for (const tab of this.tabs) {
        while (this.receive(tab, 0)) happened = true;
        happened = this.answer(tab, 500, true) || happened;
        happened = this.advance(tab, 10) || happened;
      }
      if (happened) continue;
      const later = this.#later.shift();
      if (later === undefined) return;
      later();
    }
    throw new Error("It does not come to rest.");
  }

  get leaders(): Tab[] {
    return this.tabs.filter(({ alive, connection }) => alive && connection !== null);
  }

  /** What a tab must have been given by now, when everything has come. */
  expected({ promised }: Tab): number[] {
    const from = promised ?? this.log.length;
    return this.log.flatMap((visible, index) => (visible && index + 1 > from ? [index + 1] : []));
  }

  #move(
    tab: Tab,
    from: number | null,
    deliveries: Delivery[],
    connectionStatus: Status["connectionStatus"],
  ): void {
    const { connection } = tab;
    if (connection === null) return;
    if (connection.status.connectionStatus !== connectionStatus) {
      connection.status = status(connectionStatus);
    }
    this.act(tab, {
      type: "moved",
      from: from === null ? null : at(from),
      cursor: connection.cursor === null ? null : at(connection.cursor),
      deliveries,
      status: connection.status,
    });
  }

  #perform(tab: Tab, effect: MemberEffect): void {
    switch (effect.type) {
      case "post":
        for (const other of this.tabs) {
          const { role } = other.member;
          if (other === tab || !other.alive || (role !== "following" && role !== "leading"))
            continue;
          const texts = other.inbox.get(tab.id) ?? [];
          other.inbox.set(tab.id, [...texts, effect.text]);
        }
        return;
      case "lock": {
        this.#release(tab);
        this.#claims += 1;
        tab.claim = this.#claims;
        if (!effect.steal) this.#waiting.push(tab);
        else {
          const robbed = this.#holder;
          this.#give(tab);
          if (robbed !== null)
            this.#said.push({ tab: robbed, claim: robbed.claim, type: "robbed" });
        }
        this.#grant();
        return;
      }
      case "unlock": {
        const { claim } = tab;
        if (effect.after === 0) this.#release(tab);
        else this.#later.push(() => tab.claim === claim && this.#release(tab));
        return;
      }
      case "run":
        tab.commands.push(effect.command);
        tab.connection = {
          cursor: effect.cursor === null ? null : offsetOf(effect.cursor),
          open: false,
          status: status("connecting"),
        };
        return;
      case "command":
        tab.commands.push(effect.command);
        return;
      case "page":
        tab.hidden = effect.happened === "hidden";
        if (!tab.hidden) tab.looked += 1;
        return;
      case "halt":
        tab.connection = null;
        tab.reads.length = 0;
        return;
      case "read":
        tab.reads.push(effect);
        return;
      case "deliver":
        for (const delivery of effect.deliveries) {
          if (delivery.type === "event") tab.seen.push(offsetOf(delivery.event.id));
        }
        return;
    }
  }

  #release(tab: Tab): void {
    tab.claim = 0;
    const index = this.#waiting.indexOf(tab);
    if (index >= 0) this.#waiting.splice(index, 1);
    if (this.#holder === tab) this.#holder = null;
    this.#grant();
  }

  #grant(): void {
    const next = this.#holder === null ? this.#waiting.shift() : undefined;
    if (next !== undefined) this.#give(next);
  }

  #give(tab: Tab): void {
    this.#holder = tab;
    this.#said.push({ tab, claim: tab.claim, type: "granted" });
  }
}
