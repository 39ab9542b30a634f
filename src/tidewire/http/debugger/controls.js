/** What panels are made of: fields, buttons, cards, chips and words for what is not there. */
import { attribute, h, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { copy } from "./page.js";

/**
 * @typedef {import("./dom.js").Child} Child
 * @typedef {import("./link.js").Tone} Tone
 */

let count = 0;

function nextId() {
  count += 1;
  return `c${count}`;
}

/**
 * A control with its label, a hint, and a place for what is wrong with it.
 *
 * @template {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control
 * @param {string} label
 * @param {Control} control
 * @param {{ hint?: string, class?: string, optional?: boolean }} [options]
 */
export function field(label, control, options = {}) {
  control.id ||= nextId();
  const hint = options.hint ? h("p", { class: "hint", id: nextId() }, options.hint) : null;
  const fault = h("p", { class: "fault", id: nextId(), hidden: true });
  const described = [hint?.id, fault.id].filter(Boolean).join(" ");
  attribute(control, "aria-describedby", described);
  const optional = options.optional ? h("span", { class: "optional" }, " (optional)") : null;
  const element = h(
    "div",
    { class: `field ${options.class ?? ""}` },
    h("label", { for: control.id }, label, optional),
    control,
    hint,
    fault,
  );
  return {
    element,
    control,
    /** @param {string | null} message */
    complain(message) {
      attribute(control, "aria-invalid", message === null ? null : "true");
      say(fault, message ?? "");
      show(fault, message !== null);
    },
  };
}

/**
 * A line of text to enter.
 *
 * @param {(text: string) => void} oninput
 * @param {import("./dom.js").Props} [props]
 */
export function input(oninput, props = {}) {
  return h("input", {
    type: "text",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    oninput: (/** @type {Event & { target: HTMLInputElement }} */ event) =>
      oninput(event.target.value),
    ...props,
  });
}

/**
 * @param {readonly (readonly [value: string, name: string])[]} choices
 * @param {(value: string) => void} onchange
 * @param {import("./dom.js").Props} [props]
 */
export function select(choices, onchange, props = {}) {
  return h(
    "select",
    {
      onchange: (/** @type {Event & { target: HTMLSelectElement }} */ event) =>
        onchange(event.target.value),
      ...props,
    },
    choices.map(([value, name]) => h("option", { value }, name)),
  );
}

/**
 * One of a few, all of which are seen.
 *
 * @template {string} Choice
 * @param {string} label
 * @param {readonly (readonly [value: Choice, name: string])[]} choices
 * @param {(value: Choice) => void} onchange
 */
export function segments(label, choices, onchange) {
  const name = nextId();
  const inputs = choices.map(([value, text]) => {
    const radio = h("input", { type: "radio", name, value, onchange: () => onchange(value) });
    return { value, radio, element: h("label", { class: "segment" }, radio, h("span", {}, text)) };
  });
  const element = h(
    "fieldset",
    { class: "segments" },
    h("legend", {}, label),
    h(
      "div",
      {},
      inputs.map(({ element }) => element),
    ),
  );
  return {
    element,
    /** @param {Choice} chosen */
    choose(chosen) {
      for (const { value, radio } of inputs) radio.checked = value === chosen;
    },
  };
}

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {{ icon?: string, kind?: "primary" | "danger" | "quiet", label?: string, title?: string,
 *   type?: "button" | "submit" }} [options]
 */
export function button(text, onclick, options = {}) {
  const element = h(
    "button",
    {
      type: options.type ?? "button",
      class: `button ${options.kind ?? ""}`,
      "aria-label": options.label,
      title: options.title,
      onclick: (/** @type {MouseEvent} */ event) => {
        if (element.hasAttribute("aria-disabled")) event.preventDefault();
        else onclick();
      },
    },
    options.icon ? icon(options.icon) : null,
    h("span", {}, text),
  );
  return element;
}

/**
 * Whether a button does anything. It is not disabled in the way of HTML: that would take the focus
 * from whoever has just pressed it.
 *
 * @param {HTMLButtonElement} button
 * @param {boolean} able
 */
export function enable(button, able) {
  attribute(button, "aria-disabled", able ? null : "true");
}

/**
 * @param {string} title
 * @param {...(Child | Child[])} children
 */
export function card(title, ...children) {
  const id = nextId();
  return h(
    "section",
    { class: "card", "aria-labelledby": id },
    h("h2", { id }, title),
    ...children,
  );
}

/** A word with a colour that has a meaning. */
export function chip() {
  const element = h("span", { class: "chip" });
  return {
    element,
    /**
     * @param {string} text
     * @param {Tone} tone
     */
    set(text, tone) {
      say(element, text);
      attribute(element, "data-tone", tone);
    },
  };
}

/**
 * @param {string} text
 * @param {Tone} tone
 */
export function chipOf(text, tone) {
  return h("span", { class: "chip", "data-tone": tone }, text);
}

/** What is read letter by letter. */
const IDS = new Set(["Cursor", "Client id", "Id", "Oldest", "Newest", "Node"]);

/**
 * Names and values. What has no value is said to be so, so that nothing jumps.
 *
 * @param {readonly string[]} names
 */
export function facts(names) {
  const values = names.map((name) => {
    const value = h("dd", { class: IDS.has(name) ? "code" : null }, "–");
    return { name, value };
  });
  const element = h(
    "dl",
    { class: "facts" },
    values.map(({ name, value }) => h("div", {}, h("dt", {}, name), value)),
  );
  return {
    element,
    /** @param {Readonly<Record<string, string | null | undefined>>} given */
    set(given) {
      for (const { name, value } of values) {
        const text = given[name] ?? "";
        say(value, text === "" ? "–" : text);
      }
    },
  };
}

/**
 * What is seen where nothing is.
 *
 * @param {string} picture
 * @param {string} title
 * @param {...Child} children
 */
export function empty(picture, title, ...children) {
  return h(
    "div",
    { class: "empty" },
    icon(picture),
    h("p", { class: "empty-title" }, title),
    h("div", { class: "empty-text" }, children),
  );
}

/** Why something is not there, and what to do. */
export function notice() {
  const title = h("strong");
  const detail = h("span");
  const advice = h("span", { class: "advice" });
  const element = h(
    "div",
    { class: "notice", hidden: true },
    icon("lock"),
    h("p", {}, title, " ", detail, " ", advice),
  );
  return {
    element,
    /** @param {import("./trouble.js").Trouble | null} trouble */
    set(trouble) {
      show(element, trouble !== null);
      if (trouble === null) return;
      say(title, `${trouble.title}.`);
      say(detail, trouble.detail);
      say(advice, trouble.advice);
    },
  };
}

/** What came of an action, read out when it changes. */
export function outcome() {
  const element = h("p", { class: "outcome", role: "status" });
  return {
    element,
    /** @param {{ text: string, failed: boolean } | null} done */
    set(done) {
      say(element, done?.text ?? "");
      attribute(element, "data-tone", done === null ? null : done.failed ? "bad" : "good");
    },
  };
}

/**
 * A question that has to be answered before anything is done.
 *
 * @param {{ title: string, text: string, action: string }} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, action }) {
  return new Promise((resolve) => {
    const id = nextId();
    const dialog = h(
      "dialog",
      { "aria-labelledby": id, onclose: () => done() },
      h("h2", { id }, title),
      h("p", {}, text),
      h(
        "div",
        { class: "buttons end" },
        button("Cancel", () => dialog.close()),
        button(action, () => dialog.close("yes"), { kind: "danger" }),
      ),
    );
    const done = () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Something to copy, with a word for what came of it.
 *
 * @param {string} text
 * @param {() => string} content
 */
export function copyButton(text, content) {
  const element = button(
    text,
    async () => {
      const copied = await copy(content());
      say(label, copied ? "Copied" : "Not allowed here");
      setTimeout(() => say(label, text), 1500);
    },
    { icon: "copy" },
  );
  const label = /** @type {Element} */ (element.querySelector("span"));
  attribute(label, "aria-live", "polite");
  return element;
}
