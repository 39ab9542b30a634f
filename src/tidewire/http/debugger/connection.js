/** The client of this page: carries out what is asked, and tells what happens. */
import { SSEClient } from "./client.js";
import { credentialsOf, headersOf, listed, nameOf, paramsOf, redacted } from "./identity.js";
import { methodName, phaseOf, reasonOf } from "./link.js";
import { duration } from "./units.js";

/**
 * @typedef {import("./link.js").Settings} Settings
 * @typedef {import("./events.js").Row} Row
 * @typedef {import("./client.js").Envelope} Envelope
 */

/** How long events are collected before they are drawn, in milliseconds. */
const COLLECT_MS = 40;

const encoder = new TextEncoder();

export class Connection {
  #base;
  #dispatch;
  #note;
  /** @type {InstanceType<typeof SSEClient> | null} */
  #client = null;
  /** @type {Settings | null} */
  #settings = null;
  /** @type {Row[]} */
  #collected = [];
  #count = 0;

  /**
   * @param {URL} base under which the server has its paths
   * @param {import("./state.js").Dispatch} dispatch
   * @param {import("./api.js").Note} note
   */
  constructor(base, dispatch, note) {
    this.#base = base;
    this.#dispatch = dispatch;
    this.#note = note;
  }

  /**
   * Connects: with the same settings from where it was, with others anew.
   *
   * @param {Settings} settings
   */
  connect(settings) {
    if (this.#client === null || settings !== this.#settings) {
      this.#client?.disconnect();
      this.#client = this.#make(settings);
      this.#settings = settings;
      this.#dispatch({ type: "link.opened", settings });
      this.#note("state", `Connects as ${nameOf(settings.who)}`);
    } else {
      this.#note("state", "Connects again, from its cursor");
    }
    if (settings.transport === "polling") this.#client.forcePolling();
    else this.#client.connect();
  }

  disconnect() {
    this.#client?.disconnect();
  }

  reconnect() {
    this.#order("reconnect", "Reconnects");
  }

  forceSSE() {
    this.#order("forceSSE", "Tries a stream");
  }

  forcePolling() {
    this.#order("forcePolling", "Polls, and tries no stream");
  }

  /**
   * @param {"reconnect" | "forceSSE" | "forcePolling"} order
   * @param {string} what
   */
  #order(order, what) {
    if (this.#client === null) return;
    this.#note("state", what);
    this.#client[order]();
  }

  /** @param {Settings} settings */
  #make(settings) {
    const { who, transport, start, cursor } = settings;
    const types = listed(settings.types);
    const topics = listed(settings.topics);
    /** @type {import("./api.js").Note} */
    const note = (source, what, detail = "") =>
      this.#note(source, redacted(what, who.token), redacted(detail, who.token));
    const client = new SSEClient({
      endpoint: new URL("api/sse", this.#base).href,
      params: paramsOf(who),
      headers: headersOf(who),
      clientType: "debugger",
      // Another tab may be somebody else, or look at how this one fares.
      shareConnection: false,
      since: start === "cursor" && cursor.trim() !== "" ? cursor.trim() : start,
      ...(types.length > 0 && { types }),
      ...(topics.length > 0 && { topics }),
      ...(transport === "sse" && { maxReconnectAttempts: Number.MAX_SAFE_INTEGER }),
      fetch: (url, init) => this.#fetch(url, { ...init, credentials: credentialsOf(who) }, note),
      onGap: (gap) => {
        note("server", `Gap: ${gap.reason}`, `after ${gap.from} up to ${gap.to}`);
        this.#dispatch({ type: "link.gap", data: gap, at: Date.now() });
      },
      onError: (error) => {
        note("error", error.code, error.fatal ? `${error.detail} It has stopped.` : error.detail);
      },
      eventHandlers: {
        "*": (/** @type {Envelope} */ event) => this.#collect(event),
        connected: ({ data }) => {
          const resumed = data.resumed ? ", resumed at its cursor" : "";
          note("server", `Stream opened${resumed}`, `client ${data.clientId}`);
          this.#dispatch({ type: "link.connected", data });
        },
        ping: ({ data }) => this.#dispatch({ type: "link.ping", data, at: Date.now() }),
        authExpiring: ({ data }) =>
          note(
            "server",
            "The authority of the stream ends",
            new Date(data.expiresAt).toISOString(),
          ),
        disconnecting: ({ data }) =>
          note(
            "server",
            `The server ends the stream: ${data.reason}`,
            data.reconnectAfter === null
              ? "It asks to stay away."
              : `It asks to come back in ${duration(data.reconnectAfter)}.`,
          ),
        disconnected: ({ data }) =>
          note(
            "state",
            `Not connected: ${data.reason}`,
            data.nextIn === null ? "" : `Tries again in ${duration(data.nextIn)}.`,
          ),
      },
    });
    this.#watch(client, note);
    return client;
  }

  /**
   * @param {InstanceType<typeof SSEClient>} client
   * @param {import("./api.js").Note} note
   */
  #watch(client, note) {
    let before = client.getStatus();
    client.subscribe(() => {
      const status = client.getStatus();
      // What one that was replaced has to say is of no interest any more.
      if (client !== this.#client) return;
      const changed =
        status.connectionStatus !== before.connectionStatus || status.method !== before.method;
      before = status;
      if (changed) {
        const method = methodName(status.method);
        const what = phaseOf(status).name + (method === null ? "" : ` · ${method}`);
        note("state", what, reasonOf(status) ?? "");
      }
      this.#dispatch({ type: "link.status", status, cursor: client.cursor });
    });
  }

  /**
   * @param {string} url
   * @param {RequestInit} init
   * @param {import("./api.js").Note} note
   */
  async #fetch(url, init, note) {
    const { pathname } = new URL(url);
    const what = `${init.method ?? "GET"} ${pathname}`;
    const begun = performance.now();
    try {
      const answer = await fetch(url, init);
      const source = answer.ok ? "request" : "error";
      note(source, `${what} → ${answer.status}`, duration(performance.now() - begun));
      return answer;
    } catch (error) {
      // What was given up is no failure.
      const given = init.signal?.aborted === true;
      if (!given) note("error", `${what} → no answer`, duration(performance.now() - begun));
      throw error;
    }
  }

  /** @param {Envelope} event */
  #collect(event) {
    const json = JSON.stringify(event);
    this.#count += 1;
    this.#collected.push({
      n: this.#count,
      event,
      json,
      bytes: encoder.encode(json).length,
      at: Date.now(),
      via: this.#client?.getStatus().method ?? "sse",
    });
    // In a burst thousands come at once: they are one change.
    if (this.#collected.length === 1) setTimeout(() => this.#hand(), COLLECT_MS);
  }

  #hand() {
    const rows = this.#collected;
    this.#collected = [];
    this.#dispatch({ type: "events.received", rows });
    const client = this.#client;
    if (client === null) return;
    this.#dispatch({ type: "link.status", status: client.getStatus(), cursor: client.cursor });
  }
}
