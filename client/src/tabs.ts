/**
 * Lets the tabs of one browser share a connection: by a lock of the browser (Web Locks) and by
 * messages (BroadcastChannel). What is decided is decided in `member.ts`; this carries it out.
 */
import { type Asker, identityOf, nameOf, subjectOf } from "./asker.js";
import type { Connection, ConnectionOptions, Listener } from "./connection.js";
import { Inquiries } from "./inquiries.js";
import { Lock } from "./lock.js";
import { step } from "./member.js";
import {
  type Member,
  type MemberAction,
  type MemberEffect,
  type MemberTimer,
  type Message,
  outside,
} from "./membership.js";
import type { Command, Delivery } from "./model.js";
import type { watchPage } from "./page.js";
import type { GivenToken, Source } from "./source.js";
import type { Status } from "./status.js";
import type { Transport } from "./transports/transport.js";
import type { PollAnswer } from "./types.js";

/** What it needs of the client, given and not imported: it is loaded later, and alone. */
export interface Parts {
  readonly Connection: typeof Connection;
  readonly poll: Transport;
  readonly watchPage: typeof watchPage;
  /** Takes what is for handlers. */
  readonly deliver: (deliveries: readonly Delivery[]) => void;
  /** Something may look different from outside. */
  readonly changed: () => void;
}

type PageAction = Parameters<Parameters<typeof watchPage>[0]>[0];

/** A token that was asked for to see whose it is serves for the connection, if that is at once. */
const FRESH = 60_000;

export class Tabs {
  readonly #options: ConnectionOptions;
  readonly #parts: Parts;
  readonly #idle: Status;
  /** Where events come from, before there is a token. */
  readonly #source: Source;
  readonly #timers = new Map<MemberTimer, { due: number; handle: ReturnType<typeof setTimeout> }>();
  readonly #queue: MemberAction[] = [];
  readonly #inquiries: Inquiries;
  readonly #lock: Lock;
  #member: Member;
  #status: Status;
  #name: string | null = null;
  /** Whose events they are. */
  #user: string | null = null;
  /** What is to be done as soon as the name is known. */
  #wanted: Command | null = null;
  /** How often it was begun, and ended: what an earlier time comes to is no use. */
  #times = 0;
  #channel: BroadcastChannel | null = null;
  #connection: Connection | null = null;
  /** Whether the connection is ours alone, because nobody knows yet who we are, */
  #alone = false;
  /** or because the browser does not let the page share. */
  #barred = false;
  #given: { token: GivenToken; at: number } | null = null;
  #unwatch: (() => void) | null = null;
  #tell: ((happened: PageAction) => void) | null = null;
  #offline = false;
  #running = false;

  constructor(
    options: ConnectionOptions,
    /** One that nobody has asked for yet: how it stands before it is shared. */
    { status, source }: Connection,
    cursor: string | null,
    parts: Parts,
  ) {
    this.#options = options;
    this.#parts = parts;
    this.#source = source;
    this.#idle = this.#status = status;
    this.#inquiries = new Inquiries(parts.poll, options.openTimeout);
    this.#lock = new Lock((happened) => {
      if (happened === "refused") this.#giveUp();
      else this.#dispatch({ type: happened });
    });
    this.#member = outside(`${source.params.instanceId}`, options.since ?? "latest", cursor);
  }

  get cursor(): string | null {
    return this.#member.cursor;
  }

  get status(): Status {
    return this.#status;
  }

  do(command: Command): void {
    if (this.#alone) {
      this.#connection?.do(command);
      if (command === "disconnect") {
        this.#alone = false;
        this.#halt();
        this.#dispatch({ type: command });
      }
    } else if (command === "disconnect") {
      this.#times += 1;
      this.#wanted = null;
      this.#given = null;
      this.#inquiries.end();
      this.#dispatch({ type: command });
    } else if (this.#member.role !== "out") this.#dispatch({ type: command });
    else {
      const waiting = this.#wanted !== null;
      this.#wanted = command;
      if (!waiting) void this.#begin();
    }
    this.#show();
  }

  async #begin(): Promise<void> {
    this.#times += 1;
    const time = this.#times;
    // Each time: whoever connects now may be somebody else.
    const asker = await this.#ask();
    if (time !== this.#times || this.#wanted === null) return;
    const command = this.#wanted;
    this.#wanted = null;
    if (asker !== null && this.#enter(asker)) this.#dispatch({ type: command });
    else this.#goAlone(command);
  }

  /** Becomes one of those who share; false where the browser does not have it. */
  #enter({ user, given, name }: Asker): boolean {
    this.#user = user;
    this.#given = given === null ? null : { token: given, at: Date.now() };
    this.#name = name;
    try {
      this.#open();
    } catch {
      this.#barred = true;
    }
    return !this.#barred;
  }

  /** Finds out who is asking; null if that is not possible now. */
  async #ask(): Promise<Asker | null> {
    const found = await identityOf(this.#options, () => this.#poll("latest", {}));
    if (found === null || this.#barred) return null;
    return { ...found, name: await nameOf(this.#options, this.#source, found.user) };
  }

  #poll(cursor: string, params: Source["params"]): Promise<PollAnswer | null> {
    const source = this.#connection?.source ?? this.#source;
    return this.#inquiries.ask({ ...source, params: { ...source.params, ...params } }, cursor);
  }

  /** Connects for itself, until the server says who we are. */
  #goAlone(command: Command): void {
    this.#alone = true;
    this.#connect(this.#member.cursor, (deliveries, before, { cursor, phase }) => {
      this.#member = { ...this.#member, cursor };
      this.#parts.deliver(deliveries);
      if (phase === "open" && before.phase !== "open" && !this.#barred) void this.#join();
      this.#show();
    }).do(command);
  }

  async #join(): Promise<void> {
    const connection = this.#connection;
    const asker = await this.#ask();
    if (asker === null || !this.#alone || connection !== this.#connection) return;
    if (!this.#enter(asker)) return;
    this.#alone = false;
    this.#halt();
    this.#dispatch({ type: "connect" });
  }

  /** The browser has locks, and does not let this page have one. */
  #giveUp(): void {
    this.#barred = true;
    this.#dispatch({ type: "disconnect" });
    this.#goAlone("connect");
    this.#show();
  }

  #dispatch(action: MemberAction): void {
    this.#queue.push(action);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const moment = { now: performance.now(), random: Math.random() };
        const { cursor } = this.#member;
        const { member, effects } = step(this.#member, next, moment);
        this.#member = member;
        const { role } = member;
        if (role !== "out") this.#unwatch ??= this.#parts.watchPage((type) => this.#happened(type));
        for (const effect of effects) this.#perform(effect);
        // It may move without anything that is for handlers.
        if (member.cursor !== cursor) this.#parts.deliver([]);
        this.#keepTimers();
        if (role !== "following" && role !== "leading") this.#close();
        this.#show();
      }
    } finally {
      this.#running = false;
    }
  }

  #close(): void {
    this.#channel?.close();
    this.#channel = null;
    if (this.#member.role === "out") {
      this.#unwatch?.();
      this.#unwatch = null;
      this.#offline = false;
    }
  }

  #perform(effect: MemberEffect): void {
    switch (effect.type) {
      case "post":
        this.#open().postMessage(effect.text);
        return;
      case "lock":
        this.#open();
        this.#lock.request(this.#name as string, effect.steal);
        return;
      case "unlock":
        this.#lock.release(effect.after);
        return;
      case "run":
        this.#run(effect.cursor, effect.command);
        return;
      case "command":
        this.#connection?.do(effect.command);
        return;
      case "halt":
        this.#halt();
        return;
      case "page":
        this.#tell?.(effect.happened);
        return;
      case "read":
        void this.#read(effect);
        return;
      case "deliver":
        this.#parts.deliver(effect.deliveries);
        return;
    }
  }

  #open(): BroadcastChannel {
    if (this.#channel !== null) return this.#channel;
    const channel = new BroadcastChannel(this.#name as string);
    channel.onmessage = ({ data }) => {
      if (channel !== this.#channel || typeof data !== "string") return;
      this.#dispatch({ type: "message", message: JSON.parse(data) as Message, size: data.length });
    };
    this.#channel = channel;
    return channel;
  }

  #run(cursor: string | null, command: Command): void {
    const connection = this.#connect(cursor, (deliveries, { cursor: from }, { cursor }) => {
      const { status } = connection;
      this.#dispatch({ type: "moved", from, cursor, deliveries, status });
    });
    connection.do(command);
  }

  #connect(cursor: string | null, listener: Listener): Connection {
    const { getToken } = this.#options;
    const connection: Connection = new this.#parts.Connection(
      getToken ? { ...this.#options, getToken: () => this.#getToken(getToken) } : this.#options,
      cursor,
      (...heard) => {
        if (connection === this.#connection) listener(...heard);
      },
      (tell) => this.#attend(tell),
      this.#member.id,
    );
    this.#connection = connection;
    return connection;
  }

  /** The page of the leader is all pages. */
  #attend(tell: (happened: PageAction) => void): () => void {
    if (this.#alone) return this.#parts.watchPage(tell);
    this.#tell = tell;
    if (this.#offline) tell("offline");
    return () => {
      this.#tell = null;
    };
  }

  #happened(type: PageAction): void {
    if (type !== "online" && type !== "offline") this.#dispatch({ type });
    else {
      this.#offline = type === "offline";
      this.#tell?.(type);
    }
  }

  async #getToken(get: () => GivenToken | Promise<GivenToken>): Promise<GivenToken> {
    const given = this.#given;
    this.#given = null;
    if (given !== null && Date.now() - given.at < FRESH) return given.token;
    const token = await get();
    const user = this.#options.userId === undefined ? subjectOf(token) : null;
    if (user !== null && user !== this.#user) this.#part();
    return token;
  }

  /** The page has become another user's: what it is given from now on is not for the others. */
  #part(): void {
    if (this.#member.role !== "leading") return;
    this.do("disconnect");
    this.do("connect");
  }

  #halt(): void {
    const connection = this.#connection;
    this.#connection = null;
    connection?.do("disconnect");
    this.#inquiries.end();
  }

  async #read({ to, from, until }: MemberEffect & { type: "read" }): Promise<void> {
    const connection = this.#connection;
    const answer = await this.#poll(from ?? "latest", { until });
    if (connection === this.#connection) this.#dispatch({ type: "read", to, from, answer });
  }

  #keepTimers(): void {
    const { timers } = this.#member;
    for (const [timer, { due, handle }] of this.#timers) {
      const wanted = timers[timer];
      // One that is due later is let ring, and set again then: each message moves it.
      if (wanted !== undefined && wanted >= due) continue;
      clearTimeout(handle);
      this.#timers.delete(timer);
    }
    for (const [timer, due] of Object.entries(timers) as [MemberTimer, number][]) {
      if (!this.#timers.has(timer)) this.#set(timer, due);
    }
  }

  #set(timer: MemberTimer, due: number): void {
    const ring = () => {
      this.#timers.delete(timer);
      this.#dispatch({ type: "timer", timer });
    };
    const handle = setTimeout(ring, Math.ceil(due - performance.now()));
    this.#timers.set(timer, { due, handle });
  }

  #show(): void {
    const status = this.#look();
    const names = Object.keys(status) as (keyof Status)[];
    if (names.every((name) => status[name] === this.#status[name])) return;
    this.#status = status;
    this.#parts.changed();
  }

  #look(): Status {
    const idle = this.#idle;
    const { role, joined, status, cursor } = this.#member;
    if (this.#alone && this.#connection) return this.#connection.status;
    if (this.#wanted !== null) return { ...idle, connectionStatus: "connecting" };
    if (role === "frozen") return { ...idle, connectionStatus: "offline", reason: "freeze" };
    if (role === "out") return status ?? { ...idle, reason: this.#name && "disconnect" };
    const connectionStatus = cursor === null ? "connecting" : "reconnecting";
    return {
      ...(joined && status !== null ? status : { ...idle, connectionStatus }),
      role: role === "leading" ? "leader" : "follower",
    };
  }
}
