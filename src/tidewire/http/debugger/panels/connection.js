/** Who one is, how one connects, and how that stands. */
import { button, card, empty, enable, facts, field, input, segments, select } from "../controls.js";
import { attribute, enter, h, keyed, say, show } from "../dom.js";
import { claimsOf, lackOf, nameOf, provenBy } from "../identity.js";
import { methodName, phaseOf, reasonOf } from "../link.js";
import { phases } from "../phases.js";
import { ago, clock, duration } from "../units.js";

/**
 * @typedef {import("../state.js").State} State
 * @typedef {import("../link.js").Settings} Settings
 * @typedef {import("../identity.js").Who} Who
 */

const STATUS = ["State", "Method", "Since", "Failures", "Cursor", "Client id", "Last ping"];
const SERVER = ["Version", "Ping interval", "Known as", "Resumed", "Log", "Capabilities"];

/**
 * @param {{ development: boolean, state: () => State, dispatch: import("../state.js").Dispatch,
 *   connection: import("../connection.js").Connection, connect: () => void }} given
 */
export function connectionPanel({ development, state, dispatch, connection, connect }) {
  const who = (/** @type {Partial<Who>} */ change) =>
    dispatch({ type: "settings.who", who: change });
  const change = (/** @type {Partial<Settings>} */ settings) =>
    dispatch({ type: "settings.changed", settings });

  /** @type {(readonly [import("../identity.js").Way, string])[]} */
  const ways = [
    ["session", "Session"],
    ["token", "Token"],
  ];
  if (development) ways.unshift(["development", "Any user"]);
  const way = segments("Connect as", ways, (chosen) => who({ way: chosen }));

  const userId = field(
    "User id",
    input((text) => who({ userId: text }), { required: true }),
  );
  const roles = field(
    "Roles",
    input((text) => who({ roles: text }), { placeholder: "EDITOR, ADMIN" }),
    { optional: true },
  );
  const permissions = field(
    "Permissions",
    input((text) => who({ permissions: text }), { placeholder: "publish" }),
    { optional: true },
  );
  const token = field(
    "Token",
    input((text) => who({ token: text }), { type: "password", class: "code", required: true }),
    { hint: "Kept in the memory of this page, and nowhere else." },
  );
  const claims = h("p", { class: "hint" });
  const session = h(
    "p",
    { class: "explained" },
    "As whoever is signed in: the browser sends the cookie of this page's session.",
  );

  const transport = segments(
    "Transport",
    [
      ["auto", "Automatic"],
      ["sse", "Stream"],
      ["polling", "Polling"],
    ],
    (chosen) => change({ transport: chosen }),
  );
  const explained = h("p", { class: "hint" });

  const types = field(
    "Event types",
    input((text) => change({ types: text }), { placeholder: "all" }),
    { optional: true },
  );
  const topics = field(
    "Topics",
    input((text) => change({ topics: text }), { placeholder: "none" }),
    { optional: true },
  );
  const start = field(
    "Start from",
    select(
      [
        ["latest", "Now"],
        ["earliest", "The oldest kept"],
        ["cursor", "A cursor"],
      ],
      (chosen) => change({ start: /** @type {Settings["start"]} */ (chosen) }),
    ),
  );
  const cursor = field(
    "Cursor",
    input((text) => change({ cursor: text }), {
      class: "code",
      placeholder: "1764000000000-42-k3f9",
    }),
  );

  const go = button("Connect", () => {}, { kind: "primary", type: "submit", icon: "connection" });
  const goLabel = /** @type {Element} */ (go.querySelector("span"));
  const stop = button("Disconnect", () => connection.disconnect());
  const form = h(
    "form",
    {
      novalidate: true,
      onsubmit: (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        // Not what was drawn last: one may type faster than that.
        const lack = lackOf(state().settings.who);
        userId.complain(lack?.field === "userId" ? lack.message : null);
        token.complain(lack?.field === "token" ? lack.message : null);
        if (lack === null) connect();
        else (lack.field === "userId" ? userId : token).control.focus();
      },
    },
    way.element,
    h("div", { class: "columns" }, userId.element, roles.element, permissions.element),
    token.element,
    claims,
    session,
    transport.element,
    explained,
    h("div", { class: "columns" }, types.element, topics.element, start.element, cursor.element),
    h("div", { class: "buttons" }, go, stop),
  );

  const picture = phases();
  const status = facts(STATUS);
  const reason = h("p", { class: "reason", hidden: true });
  const reconnect = button("Reconnect", () => connection.reconnect());
  const forceSSE = button("Force stream", () => connection.forceSSE());
  const forcePolling = button("Force polling", () => connection.forcePolling());
  const server = facts(SERVER);
  const noServer = empty(
    "connection",
    "No stream is open",
    "A stream says here which server it comes from. Polls do not.",
  );
  const gaps = h("ul", { class: "rows" });
  const noGaps = empty(
    "events",
    "Nothing was missed",
    "A hole in what this page got is said here, with its reason. It is never silent.",
  );

  const element = h(
    "div",
    { class: "panel connection" },
    h("div", { class: "stack" }, card("Identity and transport", form), card("Gaps", gaps, noGaps)),
    h(
      "div",
      { class: "stack" },
      card(
        "Status",
        h("div", { class: "picture" }, picture.element),
        status.element,
        reason,
        h("div", { class: "buttons" }, reconnect, forceSSE, forcePolling),
      ),
      card("Server", server.element, noServer),
    ),
  );

  /** @type {{ phase: string, since: number } | null} */
  let shown = null;

  return {
    element,
    /** @param {State} state */
    render({ settings, link, now }) {
      const { way: chosen } = settings.who;
      way.choose(chosen);
      enter(userId.control, settings.who.userId);
      enter(roles.control, settings.who.roles);
      enter(permissions.control, settings.who.permissions);
      enter(token.control, settings.who.token);
      for (const one of [userId, roles, permissions]) show(one.element, chosen === "development");
      show(token.element, chosen === "token");
      show(claims, chosen === "token");
      say(claims, told(settings.who.token, now));
      show(session, chosen === "session");
      transport.choose(settings.transport);
      say(explained, TRANSPORTS[settings.transport]);
      enter(types.control, settings.types);
      enter(topics.control, settings.topics);
      enter(start.control, settings.start);
      enter(cursor.control, settings.cursor);
      show(cursor.element, settings.start === "cursor");

      const live = !["disconnected", "stopped"].includes(link.status.connectionStatus);
      const same = link.settings === settings;
      say(goLabel, live ? (same ? "Connected" : "Connect anew") : "Connect");
      enable(go, !(live && same));
      enable(stop, live);
      for (const one of [reconnect, forceSSE, forcePolling]) enable(one, link.settings !== null);

      picture.set(link.status);
      const { name } = phaseOf(link.status);
      if (shown?.phase !== name) shown = { phase: name, since: Date.now() };
      const { sseFailureCount, pollingFailureCount, method, clientId } = link.status;
      const as = link.settings === null ? "" : ` as ${nameOf(link.settings.who)}`;
      status.set({
        State: link.status.isConnected ? `${name}${as}` : name,
        Method: methodName(method),
        Since: `${clock(shown.since).slice(0, 8)}, ${ago(shown.since, now)}`,
        Failures: `${sseFailureCount} of streams, ${pollingFailureCount} of polls`,
        Cursor: link.cursor,
        "Client id": clientId,
        "Last ping": pingOf(link, now),
      });
      const why = reasonOf(link.status);
      show(reason, why !== null);
      say(reason, why ?? "");

      const said = link.connected;
      show(server.element, said !== null);
      show(noServer, said === null);
      if (said !== null) {
        server.set({
          Version: said.serverInfo.version,
          "Ping interval": duration(said.serverInfo.pingInterval),
          "Known as": provenBy(said.clientInfo.authMethod),
          Resumed: said.resumed ? "Yes, exactly at its cursor" : "No, it began anew",
          Log: said.degraded ? "Away: only this node is heard" : "There",
          Capabilities: said.serverInfo.capabilities.join(", "),
        });
      }

      show(gaps, link.gaps.length > 0);
      show(noGaps, link.gaps.length === 0);
      keyed(
        gaps,
        link.gaps,
        (gap) => gap.at,
        (gap) =>
          h(
            "li",
            { class: "gap" },
            h("strong", {}, `${clock(gap.at)} ${gap.reason}`),
            h("span", { class: "code" }, `(${gap.from}, ${gap.to}]`),
          ),
      );
      attribute(element, "data-live", live);
    },
  };
}

/** @type {Readonly<Record<Settings["transport"], string>>} */
const TRANSPORTS = {
  auto: "A stream; polling where streams do not get through, and a stream again when they do.",
  sse: "A stream, however often it fails. Only one that never opens, or falls silent, makes way.",
  polling: "Polls, and tries no stream until you force one.",
};

/**
 * @param {string} token
 * @param {number} now
 */
function told(token, now) {
  if (token.trim() === "") return "";
  const claims = claimsOf(token);
  if (claims === null) return "This does not look like a token of Tidewire; the server decides.";
  const roles = claims.roles.length > 0 ? `, roles ${claims.roles.join(", ")}` : "";
  if (claims.exp === null) return `It names ${claims.sub}${roles}.`;
  const left = claims.exp - now;
  const until = left > 0 ? `ends in ${duration(left)}` : `has ended ${ago(claims.exp, now)}`;
  return `It names ${claims.sub}${roles}, and ${until}.`;
}

/**
 * @param {import("../link.js").Link} link
 * @param {number} now
 */
function pingOf({ ping, status }, now) {
  if (ping !== null) return `${ago(ping.at, now)}, number ${ping.data.sequence}`;
  if (!status.isConnected) return "";
  return status.activeMethod === "polling" ? "Polls have none" : "None yet";
}
