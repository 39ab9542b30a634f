/** How the server is. */
import {
  button,
  card,
  chip,
  chipOf,
  confirmed,
  empty,
  enable,
  facts,
  notice,
  outcome,
} from "../controls.js";
import { attribute, h, keyed, say, show } from "../dom.js";
import { figure, severityTone, toneOf } from "../health.js";
import { sparkline } from "../sparkline.js";
import { ago, count, duration, rate, size } from "../units.js";

/**
 * @typedef {import("../state.js").State} State
 */

const FIGURES = ["Up for", "Connections", "Users", "Errors", "Answers p50", "p95", "p99"];
const LOG = ["Published", "A minute", "Readers behind", "Oldest", "Newest"];
const SYSTEM = ["Node", "Host", "Version", "Python", "Memory", "Open files", "Loop lag"];

/** @param {{ actions: import("../actions.js").Actions }} given */
export function healthPanel({ actions }) {
  const status = chip();
  const figures = facts(FIGURES);
  const why = notice();
  const lines = {
    connections: sparkline("Connections", "open", count),
    deliveries: sparkline("Deliveries", "a second", rate),
    latency: sparkline("Latency", "p95", duration),
    errors: sparkline("Errors", "%", rate),
  };
  const components = h("ul", { class: "rows components" });
  const errors = h("ul", { class: "rows errors" });
  const noErrors = empty("health", "No errors", "What goes wrong is said here, with what to do.");
  const tally = h("p", { class: "summary" });
  const log = facts(LOG);
  const system = facts(SYSTEM);
  const done = outcome();
  const waiting = empty("health", "Asking the server", "A moment.");

  const ask = async (
    /** @type {string} */ action,
    /** @type {{ title: string, text: string, action: string }} */ question,
  ) => {
    if (await confirmed(question)) await actions.actOnServer(action);
  };
  const clearErrors = button("Clear", () => actions.actOnServer("clear_errors"), {
    label: "Clear errors",
  });
  const buttons = h(
    "div",
    { class: "buttons" },
    button("Ping everyone", () => actions.actOnServer("health_check")),
    button("Close stale connections", () => actions.actOnServer("force_cleanup")),
    button(
      "Clear events",
      () =>
        ask("clear_events", {
          title: "Clear all events?",
          text: "The whole log is trimmed, for all nodes. Who has not read it yet is told of a gap.",
          action: "Clear events",
        }),
      { kind: "danger" },
    ),
  );

  const detailed = [
    card("Components", components),
    card("Recent errors", h("div", { class: "card-action" }, clearErrors), tally, errors, noErrors),
    card("Log", log.element),
    card("This node", system.element),
    card("Actions", buttons, done.element),
  ];
  const [componentsCard, errorsCard, logCard, systemCard, actionsCard] = detailed;
  const overview = h(
    "section",
    { class: "card overview", "aria-labelledby": "overview" },
    h("h2", { id: "overview" }, "Status ", status.element),
    figures.element,
  );
  const sparks = h(
    "section",
    { class: "sparks", "aria-label": "The last four minutes" },
    Object.values(lines).map(({ element }) => element),
  );
  const main = h(
    "div",
    { class: "health-main" },
    overview,
    sparks,
    why.element,
    h(
      "div",
      { class: "health-columns" },
      h("div", { class: "stack" }, componentsCard ?? null, errorsCard ?? null),
      h("div", { class: "stack" }, logCard ?? null, systemCard ?? null, actionsCard ?? null),
    ),
  );

  return {
    element: h("div", { class: "panel health" }, waiting, main),
    /** @param {State} state */
    render({ health, now }) {
      const { answer } = health;
      show(waiting, answer === null && health.trouble === null);
      why.set(health.trouble);
      for (const one of detailed) show(one, health.detailed);
      show(overview, answer !== null);
      show(sparks, answer !== null);
      show(main, answer !== null || health.trouble !== null);
      if (answer === null) return;

      status.set(String(answer.status), toneOf(answer.status));
      figures.set({
        "Up for": told(figure(answer, "uptime"), duration),
        Connections: told(figure(answer, "connections", "total"), count),
        Users: told(figure(answer, "connections", "users"), count),
        Errors: told(figure(answer, "errorRate"), (n) => `${rate(n)} %`),
        "Answers p50": told(figure(answer, "responseTime", "p50"), duration),
        p95: told(figure(answer, "responseTime", "p95"), duration),
        p99: told(figure(answer, "responseTime", "p99"), duration),
      });
      for (const name of /** @type {const} */ ([
        "connections",
        "deliveries",
        "latency",
        "errors",
      ])) {
        lines[name].set(health.samples.map((sample) => sample[name]));
      }
      if (!health.detailed) return;

      keyed(
        components,
        Object.entries(answer.components ?? {}),
        ([name]) => name,
        ([name]) => h("li", {}, h("strong", {}, name), h("span", { class: "chip" }), h("p", {})),
        (element, [, component]) => {
          const [, state, text] = element.children;
          const named = typeof component?.status === "string";
          say(state, named ? component.status : "told");
          attribute(state, "data-tone", toneOf(component?.status));
          show(state, named);
          say(text, component?.reason ?? flat(component));
        },
      );

      const recent = Array.isArray(answer.errors?.recent) ? answer.errors.recent : [];
      show(noErrors, recent.length === 0);
      show(errors, recent.length > 0);
      say(tally, tallyOf(answer.errors));
      show(tally, recent.length > 0);
      enable(clearErrors, recent.length > 0);
      keyed(
        errors,
        /** @type {any[]} */ (recent),
        ({ id }) => id,
        (error) =>
          h(
            "li",
            {},
            h(
              "p",
              { class: "error-head" },
              chipOf(String(error.severity), severityTone(error.severity)),
              h("code", {}, String(error.code)),
              h("span", { class: "category" }, String(error.category)),
              h("span", { class: "when" }),
            ),
            h("p", {}, String(error.message)),
            h("p", { class: "recovery" }, recoveryOf(error)),
          ),
        (element, error) => {
          const times = error.count > 1 ? `${count(error.count)} times, ` : "";
          const when = element.querySelector(".when");
          say(when, `${times}${ago(error.lastAt ?? error.timestamp, now)}`);
        },
      );

      log.set({
        Published: told(figure(answer, "events", "published"), count),
        "A minute": told(figure(answer, "events", "perMinute"), rate),
        "Readers behind": told(figure(answer, "metrics", "behind", "readers"), count),
        Oldest: answer.events?.floor ?? answer.components?.storage?.log?.floor,
        Newest: answer.events?.head ?? answer.components?.storage?.log?.head,
      });
      const files = figure(answer, "system", "openFiles");
      const limit = figure(answer, "system", "fileLimit");
      system.set({
        Node: answer.system?.node,
        Host: answer.system?.host,
        Version: answer.system?.version,
        Python: answer.system?.python,
        Memory: told(figure(answer, "system", "rss"), size),
        "Open files":
          files === null ? null : `${count(files)}${limit === null ? "" : ` of ${count(limit)}`}`,
        "Loop lag": told(figure(answer, "system", "loopLag"), duration),
      });
      done.set(health.done);
    },
  };
}

/**
 * @param {number | null} n
 * @param {(n: number) => string} format
 */
function told(n, format) {
  return n === null ? null : format(n);
}

/**
 * The figures of a component in one line.
 *
 * @param {any} component
 * @returns {string}
 */
function flat(component) {
  return Object.entries(component ?? {})
    .filter(([name, value]) => !["status", "reason"].includes(name) && value !== null)
    .map(([name, value]) => {
      if (typeof value === "object") return flat(value);
      return `${words(name)} ${typeof value === "number" ? measured(name, value) : value}`;
    })
    .filter((text) => text !== "")
    .join(", ");
}

/**
 * @param {string} name which says what it is a figure of
 * @param {number} value
 */
function measured(name, value) {
  if (name === "bytes") return size(value);
  return name.endsWith("Age") ? duration(value) : count(value);
}

/** @param {string} name */
function words(name) {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** @param {any} errors */
function tallyOf(errors) {
  return Object.entries(errors?.byCategory ?? {})
    .filter(([, n]) => Number(n) > 0)
    .map(([name, n]) => `${name} ${n}`)
    .join(" · ");
}

/** @param {any} error */
function recoveryOf({ recovery, retryAfter }) {
  const action = [recovery?.strategy, recovery?.message].filter(Boolean).join(": ");
  const after = typeof retryAfter === "number" ? `, after ${duration(retryAfter)}` : "";
  return action === "" ? "" : `Recovery: ${action}${after}`;
}
