/** What buttons do: a request, and what came of it as a change of the state. */
import { asAdministrator } from "./identity.js";
import { bodyOf } from "./sending.js";
import { counted } from "./units.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./identity.js").Who} Who
 */

export class Actions {
  #api;
  #store;
  #sent = 0;

  /**
   * @param {import("./api.js").Api} api
   * @param {{ readonly state: State, dispatch: import("./state.js").Dispatch }} store
   */
  constructor(api, store) {
    this.#api = api;
    this.#store = store;
  }

  /** Who asks: whoever is connected, or would be. */
  get #who() {
    const { link, settings } = this.#store.state;
    return link.settings?.who ?? settings.who;
  }

  /** Sends what is drafted; that has no faults. */
  async send() {
    const { dispatch, state } = this.#store;
    const { draft, busy } = state.sending;
    if (busy) return;
    dispatch({ type: "sending.begun" });
    const raised = state.development && draft.asAdministrator;
    const who = raised ? asAdministrator(this.#who) : this.#who;
    const { body, trouble, took } = await this.#api.post(
      "api/realtime/test",
      who,
      bodyOf(withUser(draft, this.#who)),
    );
    this.#sent += 1;
    dispatch({
      type: "sending.answered",
      sent: {
        n: this.#sent,
        at: Date.now(),
        type: draft.type.trim(),
        target: draft.target,
        value: body?.targetValue ?? withUser(draft, this.#who).value.trim(),
        eventId: body?.eventId ?? null,
        hint: body?.hint ?? null,
        trouble,
        took,
      },
    });
  }

  /** Asks how the server is. */
  async readHealth() {
    const { dispatch } = this.#store;
    const path = "api/sse/health";
    const full = await this.#api.read(path, this.#who, { details: "true" });
    if (full.trouble === null) {
      dispatch({
        type: "health.answered",
        answer: full.body,
        detailed: true,
        trouble: null,
        at: Date.now(),
      });
      return;
    }
    // What anybody may see is better than nothing.
    const { body, trouble } =
      full.trouble.kind === "away" ? full : await this.#api.read(path, this.#who);
    if (trouble !== null) dispatch({ type: "health.failed", trouble });
    else {
      dispatch({
        type: "health.answered",
        answer: body,
        detailed: false,
        trouble: full.trouble,
        at: Date.now(),
      });
    }
  }

  /** Asks who is connected, and what became of the client that is selected. */
  async readClients() {
    const { dispatch, state } = this.#store;
    const who = this.#who;
    const { selected } = state.clients;
    const { body, trouble } = await this.#api.read("api/realtime/clients", who, { limit: "500" });
    if (trouble !== null) {
      dispatch({ type: "clients.failed", trouble });
      return;
    }
    const list = Array.isArray(body.clients) ? body.clients : [];
    const missing = Array.isArray(body.missing) ? body.missing : [];
    dispatch({ type: "clients.listed", list, total: body.total ?? list.length, missing });
    if (selected !== null) await this.readTimeline(selected);
  }

  /** @param {string} id */
  async readTimeline(id) {
    const path = `api/realtime/clients/${encodeURIComponent(id)}`;
    const { body } = await this.#api.read(path, this.#who);
    if (body === null) return;
    const { client = null, timeline = null } = body;
    this.#store.dispatch({ type: "clients.told", id, client, timeline });
  }

  /** Asks whether a user got an event. */
  async explain() {
    const { dispatch, state } = this.#store;
    const { event, user } = state.clients.question;
    dispatch({ type: "clients.asking", busy: true });
    const query = { event: event.trim(), user: user.trim() };
    const { body, trouble } = await this.#api.read("api/realtime/explain", this.#who, query);
    dispatch({ type: "clients.explained", verdict: body, trouble });
  }

  /**
   * Does something about clients, and tells what came of it there.
   *
   * @param {string} action
   * @param {Record<string, string>} parameters
   */
  async actOnClients(action, parameters) {
    const { text, failed } = await this.#act(action, parameters);
    this.#store.dispatch({ type: "clients.done", text, failed });
    await this.readClients();
  }

  /**
   * Does something about the server, and tells what came of it there.
   *
   * @param {string} action
   */
  async actOnServer(action) {
    const { text, failed } = await this.#act(action, {});
    this.#store.dispatch({ type: "health.done", text, failed });
    await this.readHealth();
  }

  /**
   * @param {string} action
   * @param {Record<string, string>} parameters
   */
  async #act(action, parameters) {
    const { body, trouble } = await this.#api.act(this.#who, action, parameters);
    if (trouble !== null) {
      const text = [`${trouble.title}.`, trouble.detail, trouble.advice].join(" ");
      return { text, failed: true };
    }
    return { text: outcomeOf(action, body.result ?? {}), failed: false };
  }
}

/**
 * A test for a user that is not named is for whoever is connected: not for the administrator in
 * whose name it is sent.
 *
 * @param {import("./sending.js").Draft} draft
 * @param {Who} who
 */
function withUser(draft, who) {
  const self = draft.target === "user" && draft.value.trim() === "" && who.way === "development";
  return self ? { ...draft, value: who.userId } : draft;
}

/**
 * @param {string} action
 * @param {any} result
 */
function outcomeOf(action, result) {
  const everywhere =
    result.everywhere === false ? " Other nodes are told as soon as the log is back." : "";
  switch (action) {
    case "disconnect_client":
      return `The client was told to go, and to stay away.${everywhere}`;
    case "disconnect_user":
      return `All clients of the user were told to go, and to stay away.${everywhere}`;
    case "ping_client":
      return result.pinged === false
        ? "The client was not there to be pinged."
        : "A ping was written.";
    case "health_check":
      return `Pings were written to ${counted(result.pinged ?? 0, "stream")}.`;
    case "clear_errors":
      return `${counted(result.cleared ?? 0, "error")} forgotten.`;
    case "clear_events":
      return `${counted(result.cleared ?? 0, "event")} trimmed from the log.`;
    case "force_cleanup":
      return `${counted(result.looked ?? 0, "connection")} looked at, ${result.closed ?? 0} stale ones closed.`;
    default:
      return "Done.";
  }
}
