/** Who is connected; and who got which event. */

import { nameOf, STATES, shownOf, toneOf } from "../clients.js";
import {
  button,
  card,
  chip,
  confirmed,
  copyButton,
  empty,
  enable,
  facts,
  field,
  input,
  notice,
  outcome,
} from "../controls.js";
import { attribute, enter, h, keyed, say, show } from "../dom.js";
import { provenBy } from "../identity.js";
import { ago, clock, count, counted } from "../units.js";

/**
 * @typedef {import("../state.js").State} State
 * @typedef {import("../clients.js").Client} Client
 * @typedef {import("../clients.js").Step} Step
 */

const FACTS = [
  "User",
  "Roles",
  "Known as",
  "Transport",
  "Types",
  "Topics",
  "Connected",
  "Delivered",
  "Behind",
  "Cursor",
  "Node",
  "Client type",
  "Client id",
];

/**
 * @param {{ dispatch: import("../state.js").Dispatch,
 *   actions: import("../actions.js").Actions }} given
 */
export function clientsPanel({ dispatch, actions }) {
  const search = input((text) => dispatch({ type: "clients.sought", text }), {
    type: "search",
    "aria-label": "Search in clients",
    placeholder: "User, client, type or node",
  });
  const states = h("div", { class: "chips", role: "group", "aria-label": "State" });
  const summary = h("p", { class: "summary", role: "status" });
  const why = notice();
  const list = h("ul", { class: "rows clients-list" });
  const nobody = empty("clients", "Nobody is connected", "Streams and held polls appear here.");
  const none = empty(
    "clients",
    "No client matches",
    button("Show all", () => dispatch({ type: "clients.sought", text: "", state: "" })),
  );
  const done = outcome();

  let toDetail = false;
  const detail = detailView(actions, (id) => {
    dispatch({ type: "clients.selected", id: null });
    const row = [...list.children].find((one) => one.getAttribute("data-id") === id);
    row?.querySelector("button")?.focus();
  });
  const question = questionView(dispatch, actions);

  const listCard = h(
    "section",
    { class: "card flush tall growing", "aria-label": "Clients" },
    h("div", { class: "toolbar" }, h("div", { class: "filters" }, search), states),
    summary,
    h("div", { class: "list-place" }, list, nobody, none),
  );

  return {
    element: h(
      "div",
      { class: "panel clients" },
      h("div", { class: "stack" }, why.element, done.element, listCard),
      h("div", { class: "stack" }, detail.element, question.element),
    ),
    /** @param {State} state */
    render({ clients, link, now }) {
      why.set(clients.trouble);
      done.set(clients.done);
      show(listCard, clients.list !== null);
      enter(search, clients.text);
      const shown = shownOf(clients);
      const all = clients.list ?? [];
      keyed(
        states,
        STATES,
        (name) => name,
        (name) =>
          h("button", {
            type: "button",
            class: "chip",
            onclick: (/** @type {MouseEvent & { currentTarget: Element }} */ event) => {
              const on = event.currentTarget.getAttribute("aria-pressed") === "true";
              dispatch({ type: "clients.sought", state: on ? "" : name });
            },
          }),
        (element, name) => {
          const many = all.filter(({ state }) => state === name).length;
          say(element, `${name} ${count(many)}`);
          attribute(element, "data-tone", many === 0 ? "calm" : toneOf(name));
          attribute(element, "aria-pressed", clients.state === name ? "true" : "false");
        },
      );
      const missing =
        clients.missing.length > 0 ? ` · no answer from ${clients.missing.join(", ")}` : "";
      say(summary, `${count(shown.length)} of ${counted(clients.total, "client")}${missing}`);
      const nodes = new Set(all.map(({ node }) => node)).size;
      show(list, shown.length > 0);
      show(nobody, all.length === 0);
      show(none, all.length > 0 && shown.length === 0);
      keyed(
        list,
        shown,
        ({ clientId }) => clientId,
        ({ clientId }) =>
          row(() => {
            toDetail = true;
            dispatch({ type: "clients.selected", id: clientId });
            void actions.readTimeline(clientId);
          }),
        (element, client) => {
          fill(element, client, now, link.status.clientId, nodes > 1);
          attribute(element, "data-selected", client.clientId === clients.selected);
          attribute(element, "data-id", client.clientId);
        },
      );
      detail.render(clients, now);
      // In a narrow window it is far below.
      if (toDetail) detail.element.focus();
      toDetail = false;
      question.render(clients);
    },
  };
}

/** @param {() => void} select */
function row(select) {
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", class: "client", onclick: select },
      h("span", { class: "client-user" }),
      h("span", { class: "chip" }),
      h("span", { class: "client-facts" }),
    ),
  );
}

/**
 * @param {Element} element
 * @param {Client} client
 * @param {number} now
 * @param {string | null} own the id of this page's client
 * @param {boolean} placed whether it is said on which node it is
 */
function fill(element, client, now, own, placed) {
  const [user, state, told] = element.firstElementChild?.children ?? [];
  if (user === undefined || state === undefined || told === undefined) return;
  say(user, client.clientId === own ? `${client.userId} (this page)` : client.userId);
  say(state, client.state);
  attribute(state, "data-tone", toneOf(client.state));
  const since =
    client.connectedAt === undefined
      ? ""
      : `since ${ago(client.connectedAt, now).replace(" ago", "")}`;
  const behind = client.behind ? `${count(client.behind)} behind` : "";
  const parts = [
    client.clientType,
    client.transport === "sse" ? "stream" : client.transport,
    since,
    behind,
    placed && client.node,
  ];
  say(told, parts.filter(Boolean).join(" · "));
}

/**
 * @param {import("../actions.js").Actions} actions
 * @param {(id: string) => void} close
 */
function detailView(actions, close) {
  /** @type {Client | null} */
  let client = null;
  const state = chip();
  const title = h("h2", { id: "client-title" });
  const told = facts(FACTS);
  const steps = h("ol", { class: "timeline" });
  const noSteps = h("p", { class: "explained" }, "This server remembers no more of it.");
  const ping = button("Ping", () =>
    actions.actOnClients("ping_client", { clientId: client?.clientId ?? "" }),
  );
  const end = button(
    "Disconnect",
    async () => {
      if (client === null) return;
      const { clientId, userId } = client;
      const text = `${userId} is told to go and to stay away; the client does not come back by itself.`;
      const title = "Disconnect this client?";
      if (await confirmed({ title, text, action: "Disconnect" })) {
        await actions.actOnClients("disconnect_client", { clientId });
      }
    },
    { kind: "danger" },
  );
  const endAll = button(
    "Disconnect user",
    async () => {
      if (client === null) return;
      const { userId } = client;
      const text = `All clients of ${userId} are told to go and to stay away, on every node.`;
      const title = "Disconnect all of this user's clients?";
      if (await confirmed({ title, text, action: "Disconnect user" })) {
        await actions.actOnClients("disconnect_user", { userId });
      }
    },
    { kind: "danger" },
  );
  const element = h(
    "section",
    {
      class: "card client-detail",
      "aria-labelledby": title.id,
      tabindex: -1,
      hidden: true,
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape") close(client?.clientId ?? "");
      },
    },
    h(
      "header",
      {},
      title,
      state.element,
      button("Close", () => close(client?.clientId ?? ""), {
        icon: "close",
        kind: "quiet",
        title: "Esc",
      }),
    ),
    h(
      "div",
      { class: "buttons" },
      ping,
      copyButton("Copy id", () => client?.clientId ?? ""),
      end,
      endAll,
    ),
    told.element,
    h("h3", {}, "Timeline"),
    steps,
    noSteps,
  );
  return {
    element,
    /**
     * @param {import("../clients.js").Clients} clients
     * @param {number} now
     */
    render({ known, gone, timeline, selected }, now) {
      client = selected === null ? null : known;
      show(element, client !== null);
      if (client === null) return;
      say(title, client.userId);
      state.set(gone ? "gone" : client.state, gone ? "calm" : toneOf(client.state));
      enable(ping, !gone);
      enable(end, !gone);
      told.set({
        User: client.userId,
        Roles: client.roles?.join(", "),
        "Known as": provenBy(client.method),
        Transport: client.transport === "sse" ? "stream" : client.transport,
        Types: client.types === null ? "all" : client.types?.join(", "),
        Topics: client.topics?.join(", "),
        Connected:
          client.connectedAt === undefined
            ? null
            : `${clock(client.connectedAt).slice(0, 8)}, ${ago(client.connectedAt, now)}`,
        Delivered: client.delivered === undefined ? null : counted(client.delivered, "event"),
        Behind:
          client.behind === undefined ? null : client.behind === 0 ? "live" : count(client.behind),
        Cursor: client.cursor,
        Node: client.node,
        "Client type": client.clientType,
        "Client id": client.clientId,
      });
      show(noSteps, (timeline ?? []).length === 0);
      keyed(steps, [...(timeline ?? [])].reverse(), stepKey, step);
    },
  };
}

/** @param {Step} given */
function stepKey({ timestamp, what, cursor, detail, clientId }) {
  return [timestamp, what, cursor, detail, clientId].join("|");
}

/** @param {Step} given */
function step({ timestamp, what, cursor, detail, node }) {
  return h(
    "li",
    {},
    h("span", { class: "when" }, clock(timestamp)),
    h("strong", {}, STEPS[what] ?? what),
    h("span", { class: "step-detail" }, [detail, cursor, node].filter(Boolean).join(" · ")),
  );
}

/** @type {Readonly<Record<string, string>>} */
const STEPS = { caughtUp: "caught up", identityChanged: "identity changed", gap: "told of a gap" };

/**
 * @param {import("../state.js").Dispatch} dispatch
 * @param {import("../actions.js").Actions} actions
 */
function questionView(dispatch, actions) {
  const event = field(
    "Event id",
    input((text) => dispatch({ type: "clients.asking", event: text }), {
      class: "code",
      required: true,
      placeholder: "1764000000000-42-k3f9",
    }),
  );
  const user = field(
    "User id",
    input((text) => dispatch({ type: "clients.asking", user: text }), { required: true }),
  );
  const go = button("Explain", () => {}, { kind: "primary", type: "submit" });
  const verdict = chip();
  const reason = h("p", {});
  const evidence = h("ol", { class: "timeline" });
  const missing = h("p", { class: "hint" });
  const answer = h(
    "div",
    { class: "verdict", role: "status", hidden: true },
    h("p", {}, verdict.element),
    reason,
    evidence,
    missing,
  );
  const why = notice();
  const element = card(
    "Who got it?",
    h("p", { class: "explained" }, "Whether a user got an event, or why not, and what proves it."),
    h(
      "form",
      {
        novalidate: true,
        onsubmit: (/** @type {SubmitEvent} */ submitted) => {
          submitted.preventDefault();
          event.complain(event.control.value.trim() === "" ? "Paste the id of an event." : null);
          user.complain(user.control.value.trim() === "" ? "Say which user." : null);
          const lacking = [event, user].find(({ control }) => control.value.trim() === "");
          if (lacking === undefined) void actions.explain();
          else lacking.control.focus();
        },
      },
      h("div", { class: "columns" }, event.element, user.element),
      h("div", { class: "buttons" }, go),
    ),
    answer,
    why.element,
  );
  return {
    element,
    /** @param {import("../clients.js").Clients} clients */
    render({ question }) {
      enter(event.control, question.event);
      enter(user.control, question.user);
      enable(go, !question.busy);
      why.set(question.trouble);
      show(answer, question.verdict !== null);
      if (question.verdict === null) return;
      const { name, tone } = nameOf(question.verdict);
      verdict.set(name, tone);
      say(reason, question.verdict.reason);
      keyed(evidence, question.verdict.evidence ?? [], stepKey, step);
      const silent = question.verdict.missing ?? [];
      show(missing, silent.length > 0);
      say(missing, `No answer from ${silent.join(", ")}: they may know more.`);
    },
  };
}
