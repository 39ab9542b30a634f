/** What the client and this page did. */
import { shownOf } from "../activity.js";
import { button, chipOf, copyButton, empty, enable, input, select } from "../controls.js";
import { enter, h, keyed, say, show } from "../dom.js";
import { clock, counted, moment } from "../units.js";

/**
 * @typedef {import("../state.js").State} State
 * @typedef {import("../activity.js").Source} Source
 */

/** @type {Readonly<Record<Source, import("../link.js").Tone>>} */
const TONES = { state: "busy", request: "calm", server: "good", error: "bad" };

/** @param {{ dispatch: import("../state.js").Dispatch }} given */
export function logPanel({ dispatch }) {
  /** @type {readonly import("../activity.js").Entry[]} */
  let shown = [];
  const source = select(
    [
      ["", "All"],
      ["state", "State"],
      ["request", "Requests"],
      ["server", "Server"],
      ["error", "Errors"],
    ],
    (chosen) =>
      dispatch({ type: "activity.filtered", source: /** @type {Source | ""} */ (chosen) }),
    { "aria-label": "Kind" },
  );
  const search = input((text) => dispatch({ type: "activity.filtered", text }), {
    type: "search",
    "aria-label": "Search in the log",
    placeholder: "Search in the log",
  });
  const copy = copyButton("Copy", () =>
    shown.map(({ at, what, detail }) => `${moment(at)}  ${what}  ${detail}`.trimEnd()).join("\n"),
  );
  const clear = button("Clear", () => dispatch({ type: "activity.cleared" }), { icon: "clear" });
  const summary = h("p", { class: "summary" });
  const list = h("ol", { class: "log", tabindex: 0, "aria-label": "Log, newest first" });
  const nothing = empty(
    "log",
    "Nothing has happened",
    "State changes, requests and errors appear here.",
  );

  return {
    element: h(
      "div",
      { class: "panel log-panel" },
      h(
        "section",
        { class: "card flush tall growing", "aria-label": "Log" },
        h(
          "div",
          { class: "toolbar" },
          h("div", { class: "filters" }, search, source),
          h("div", { class: "buttons" }, copy, clear),
        ),
        summary,
        h("div", { class: "list-place" }, list, nothing),
      ),
    ),
    /** @param {State} state */
    render({ activity }) {
      shown = shownOf(activity);
      enter(source, activity.source);
      enter(search, activity.text);
      const all = counted(activity.entries.length, "entry", "entries");
      say(summary, `${all} · tokens are never written here`);
      show(list, shown.length > 0);
      show(nothing, shown.length === 0);
      enable(copy, shown.length > 0);
      enable(clear, activity.entries.length > 0);
      keyed(
        list,
        shown,
        ({ n }) => n,
        ({ at, source, what, detail }) =>
          h(
            "li",
            {},
            h("time", {}, clock(at)),
            chipOf(source, TONES[source]),
            h("span", { class: "log-what" }, what),
            h("span", { class: "log-detail" }, detail),
          ),
      );
    },
  };
}
