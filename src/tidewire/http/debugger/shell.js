/** What surrounds the panels: where one is, how the connection stands, light and dark. */
import { select } from "./controls.js";
import { attribute, h, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { nameOf } from "./identity.js";
import { phaseOf, sentenceOf } from "./link.js";
import { PANELS } from "./state.js";
import { count } from "./units.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Panel} Panel
 * @typedef {{ element: HTMLElement, render: (state: State) => void }} View
 */

/** A higher number would need more room than there is. */
const MOST = 9999;

/** @type {Readonly<Record<Panel, string>>} */
const NAMES = {
  connection: "Connection",
  send: "Send",
  events: "Events",
  health: "Health",
  clients: "Clients",
  log: "Log",
};

/**
 * @param {Readonly<Record<Panel, View>>} views
 * @param {boolean} development
 */
export function shell(views, development) {
  const links = PANELS.map((panel) => {
    const badge = h("span", { class: "badge", hidden: true });
    const element = h("a", { href: `#${panel}` }, icon(panel), h("span", {}, NAMES[panel]), badge);
    return { panel, element, badge };
  });
  const phase = h("span");
  const by = h("span", { class: "by" });
  const pill = h("span", { class: "chip" }, phase, by);
  const as = h("span", { class: "as" });
  const announced = h("p", { class: "visually-hidden", role: "status" });
  const appearance = select(
    [
      ["system", "System"],
      ["light", "Light"],
      ["dark", "Dark"],
    ],
    (detail) => dispatchEvent(new CustomEvent("appearance", { detail })),
    { "aria-label": "Appearance" },
  );
  appearance.value = document.documentElement.dataset.appearance ?? "system";
  const title = h("h1", { tabindex: -1, class: "visually-hidden" });
  const main = h(
    "main",
    { id: "main" },
    title,
    Object.values(views).map(({ element }) => element),
  );
  const element = h(
    "div",
    { class: "shell" },
    h("a", { class: "skip", href: "#main", onclick: skip }, "To the content"),
    h(
      "header",
      { class: "top" },
      h(
        "p",
        { class: "brand" },
        icon("brand"),
        h("span", {}, "Tidewire"),
        development ? h("span", { class: "mode" }, "development") : null,
      ),
      h("div", { class: "standing" }, pill, as),
      h("div", { class: "appearance" }, appearance),
    ),
    h(
      "nav",
      { "aria-label": "Panels" },
      links.map(({ element }) => element),
    ),
    main,
    announced,
  );

  /** @param {Event} event */
  function skip(event) {
    // The hash says which panel is seen.
    event.preventDefault();
    title.focus();
  }

  return {
    element,
    /** @param {State} state */
    render(state) {
      const { panel, link, events } = state;
      for (const one of links) {
        attribute(one.element, "aria-current", one.panel === panel ? "page" : null);
      }
      for (const { panel, badge } of links) {
        const came = panel === "events" ? events.total : 0;
        show(badge, came > 0);
        say(badge, came === 0 ? "" : came > MOST ? `${count(MOST)}+` : count(came));
      }
      const { name, tone } = phaseOf(link.status);
      const sentence = sentenceOf(link.status);
      say(phase, name);
      say(by, sentence.slice(name.length));
      attribute(pill, "data-tone", tone);
      say(as, link.settings === null ? "" : nameOf(link.settings.who));
      say(announced, sentence);
      say(title, NAMES[panel]);
      document.title = `${NAMES[panel]} · ${name} · Tidewire`;
      for (const one of PANELS) show(views[one].element, one === panel);
      views[panel].render(state);
    },
  };
}
