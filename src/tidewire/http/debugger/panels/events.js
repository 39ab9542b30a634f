/** The events that come, as they come. */
import { button, chip, copyButton, empty, enable, facts, input, select } from "../controls.js";
import { attribute, enter, h, say, show } from "../dom.js";
import { ALL, exported, gistOf, isFiltered, MAX_ROWS, shownOf, typesOf } from "../events.js";
import { Grid, texts } from "../grid.js";
import { parts, pretty } from "../json.js";
import { methodName } from "../link.js";
import { download } from "../page.js";
import { PRIORITIES } from "../payloads.js";
import { clock, count, counted, duration, moment, size } from "../units.js";

/**
 * @typedef {import("../state.js").State} State
 * @typedef {import("../events.js").Row} Row
 */

/** @type {Readonly<Record<string, import("../link.js").Tone>>} */
const TONES = { low: "calm", normal: "calm", high: "warn", critical: "bad" };

/**
 * @param {{ dispatch: import("../state.js").Dispatch,
 *   explain: (event: string, user: string) => void }} given
 */
export function eventsPanel({ dispatch, explain }) {
  const filter = (/** @type {Partial<import("../events.js").Filter>} */ change) =>
    dispatch({ type: "events.filtered", filter: change });

  const type = select([["", "All types"]], (chosen) => filter({ type: chosen }), {
    "aria-label": "Type",
  });
  const priority = select(
    [["", "All priorities"], ...PRIORITIES.map((name) => /** @type {const} */ ([name, name]))],
    (chosen) => filter({ priority: chosen }),
    { "aria-label": "Priority" },
  );
  const search = input((text) => filter({ text }), {
    type: "search",
    "aria-label": "Search in events",
    placeholder: "Search in events",
  });
  const pause = button(
    "Pause",
    () => dispatch({ type: paused ? "events.resumed" : "events.paused" }),
    {
      icon: "pause",
    },
  );
  const pauseLabel = /** @type {Element} */ (pause.querySelector("span"));
  let paused = false;
  const save = (/** @type {"json" | "jsonl"} */ form) => {
    const media = form === "json" ? "application/json" : "application/jsonl";
    const name = `events-${moment(Date.now()).slice(0, 19).replaceAll(/[ :]/g, "-")}.${form}`;
    download(name, media, exported(shown, form));
  };
  const json = button("JSON", () => save("json"), { icon: "save", label: "Export as JSON" });
  const jsonl = button("JSONL", () => save("jsonl"), { icon: "save", label: "Export as JSONL" });
  const clear = button("Clear", () => dispatch({ type: "events.cleared" }), { icon: "clear" });
  // Not a live region: it would be read out with every event.
  const summary = h("p", { class: "summary" });

  /** @type {readonly Row[]} */
  let shown = [];
  const opened = (/** @type {Row} */ row, /** @type {boolean} */ open) => {
    dispatch({ type: "events.selected", row, open: open || detailed });
    if (open) toDetail = true;
  };
  /** @type {Grid<Row>} */
  const grid = new Grid(
    "Events, newest first",
    [
      {
        name: "Time",
        class: "c-time",
        make: () => h("time", {}, h("span"), h("span", { class: "millis" })),
        fill: (cell, { at }) => {
          const [seconds, millis] = cell.children;
          const text = clock(at);
          if (seconds) say(seconds, text.slice(0, 8));
          if (millis) say(millis, text.slice(8));
        },
      },
      {
        name: "Type",
        class: "c-type",
        fill: texts(({ event }) => event.type),
      },
      {
        name: "Priority",
        class: "c-priority",
        make: () => h("span", { class: "chip" }),
        fill: (cell, { event }) => {
          say(cell, event.priority);
          attribute(cell, "data-tone", TONES[event.priority] ?? "calm");
        },
      },
      { name: "Content", class: "c-gist", fill: texts(({ event }) => gistOf(event)) },
      { name: "Id", class: "c-id", fill: texts(({ event }) => event.id) },
      {
        name: "Via",
        class: "c-via",
        fill: texts(({ via }) => VIA[via] ?? via),
      },
      { name: "Size", class: "c-size", fill: texts(({ bytes }) => size(bytes)) },
    ],
    opened,
  );
  let detailed = false;
  let toDetail = false;

  const nothing = empty(
    "events",
    "No events yet",
    "They appear here as they come. ",
    h("a", { href: "#connection" }, "Connect"),
    ", then ",
    h("a", { href: "#send" }, "send one"),
    ".",
  );
  const unseen = empty(
    "events",
    "No event matches",
    button("Show all", () => filter(ALL)),
  );

  const detail = detailView(() => {
    dispatch({ type: "events.closed" });
    grid.element.focus();
  }, explain);

  const element = h(
    "div",
    {
      class: "panel events",
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Escape" || !detailed) return;
        event.preventDefault();
        detail.close();
      },
    },
    h(
      "section",
      { class: "card flush tall", "aria-label": "Events" },
      h(
        "div",
        { class: "toolbar" },
        h("div", { class: "filters" }, search, type, priority),
        h("div", { class: "buttons" }, pause, json, jsonl, clear),
      ),
      summary,
      h("div", { class: "grid-place" }, grid.element, nothing, unseen),
    ),
    detail.element,
  );

  /** @type {readonly string[]} */
  let types = [];

  return {
    element,
    /** @param {State} state */
    render({ events, link, settings }) {
      shown = shownOf(events);
      const there = events.filter.type === "" ? [] : [events.filter.type];
      const found = [...new Set([...typesOf(events), ...there])].sort();
      if (found.join() !== types.join()) {
        types = found;
        type.replaceChildren(
          h("option", { value: "" }, "All types"),
          ...found.map((name) => h("option", { value: name }, name)),
        );
      }
      enter(type, events.filter.type);
      enter(priority, events.filter.priority);
      enter(search, events.filter.text);
      if (paused !== events.paused || events.paused) {
        paused = events.paused;
        say(pauseLabel, paused ? `Resume (${count(events.waited)} waiting)` : "Pause");
        attribute(pause, "data-on", paused);
      }
      enable(json, shown.length > 0);
      enable(jsonl, shown.length > 0);
      enable(clear, events.total > 0);
      say(summary, summaryOf(events, shown.length));
      show(nothing, events.rows.length === 0);
      show(unseen, events.rows.length > 0 && shown.length === 0);
      attribute(grid.element, "data-empty", shown.length === 0);
      detailed = events.opened;
      attribute(element, "data-detailed", detailed);
      grid.render(shown, events.selected);
      const who = (link.settings ?? settings).who;
      detail.set(detailed ? events.selected : null, who.way === "development" ? who.userId : "");
      if (toDetail && detailed) detail.element.focus();
      toDetail = false;
    },
  };
}

/** @type {Readonly<Record<string, string>>} */
const VIA = { sse: "stream", longPolling: "long poll", shortPolling: "short poll" };

/**
 * @param {import("../events.js").Events} events
 * @param {number} shown
 */
function summaryOf({ rows, total, filter }, shown) {
  if (total === 0) return "Nothing has come";
  const kept =
    total > rows.length && rows.length === MAX_ROWS ? `, the last ${count(MAX_ROWS)} kept` : "";
  const all = `${counted(total, "event")} came${kept}`;
  return isFiltered(filter) ? `${count(shown)} shown · ${all}` : all;
}

const FACTS = ["Id", "Accepted", "Received", "Via", "Source", "Version", "Size"];

/**
 * @param {() => void} close
 * @param {(event: string, user: string) => void} explain
 */
function detailView(close, explain) {
  /** @type {Row | null} */
  let row = null;
  let user = "";
  const title = h("h2", { id: "detail-title" });
  const priority = chip();
  const told = facts(FACTS);
  const json = h("pre", { class: "json", tabindex: 0, role: "region", "aria-label": "Payload" });
  const metadata = h("pre", {
    class: "json",
    tabindex: 0,
    role: "region",
    "aria-label": "Metadata",
  });
  const metadataTitle = h("h3", {}, "Metadata");
  const element = h(
    "section",
    { class: "card detail", "aria-labelledby": title.id, tabindex: -1, hidden: true },
    h(
      "header",
      {},
      title,
      priority.element,
      button("Close", close, { icon: "close", kind: "quiet", title: "Esc" }),
    ),
    h(
      "div",
      { class: "buttons" },
      copyButton("Copy JSON", () => pretty(row?.event)),
      copyButton("Copy id", () => row?.event.id ?? ""),
      button("Explain", () => explain(row?.event.id ?? "", user), {
        label: "Explain who got this event",
      }),
    ),
    told.element,
    h("h3", {}, "Payload"),
    json,
    metadataTitle,
    metadata,
  );
  return {
    element,
    close,
    /**
     * @param {Row | null} given
     * @param {string} who is connected; empty: not known
     */
    set(given, who) {
      user = who;
      show(element, given !== null);
      if (given === row || given === null) {
        row = given;
        return;
      }
      row = given;
      const { event, at, via, bytes } = given;
      say(title, event.type);
      priority.set(event.priority, TONES[event.priority] ?? "calm");
      const late = at - event.timestamp;
      told.set({
        Id: event.id,
        Accepted: moment(event.timestamp),
        Received: `${clock(at)}${late >= 0 ? `, ${duration(late)} later` : ""}`,
        Via: methodName(/** @type {import("../client.js").Status["method"]} */ (via)),
        Source: event.source,
        Version: event.version,
        Size: size(bytes),
      });
      json.replaceChildren(...coloured(event.data));
      const has = event.metadata !== undefined && Object.keys(event.metadata).length > 0;
      show(metadata, has);
      show(metadataTitle, has);
      metadata.replaceChildren(...(has ? coloured(event.metadata) : []));
    },
  };
}

/** @param {unknown} value */
function coloured(value) {
  const text = pretty(value);
  // So large that colours would cost more than they give.
  if (text.length > 50_000) return [text];
  return parts(text).map(({ kind, text }) =>
    kind === "mark" ? text : h("span", { class: `j-${kind}` }, text),
  );
}
