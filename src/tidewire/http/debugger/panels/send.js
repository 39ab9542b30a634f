/** Publishes an event to somebody, to see it arrive. */
import {
  button,
  card,
  chip,
  empty,
  enable,
  field,
  input,
  notice,
  segments,
  select,
} from "../controls.js";
import { attribute, enter, h, keyed, say, show } from "../dom.js";
import { find } from "../events.js";
import { parse, pretty } from "../json.js";
import { PRIORITIES, TEMPLATES } from "../payloads.js";
import { audienceOf, faultOf, lackOf } from "../sending.js";
import { clock, duration } from "../units.js";

/**
 * @typedef {import("../state.js").State} State
 * @typedef {import("../sending.js").Draft} Draft
 * @typedef {import("../sending.js").Sent} Sent
 */

/**
 * @param {{ development: boolean, state: () => State, dispatch: import("../state.js").Dispatch,
 *   actions: import("../actions.js").Actions, explain: (event: string, user: string) => void }} given
 */
export function sendPanel({ development, state, dispatch, actions, explain }) {
  const draft = (/** @type {Partial<Draft>} */ change) =>
    dispatch({ type: "sending.drafted", draft: change });

  const known = h(
    "datalist",
    { id: "types" },
    TEMPLATES.map(({ type }) => h("option", { value: type })),
  );
  const type = field(
    "Type",
    input((text) => draft({ type: text }), { list: "types", required: true, maxlength: 128 }),
  );
  const priority = field(
    "Priority",
    select(
      PRIORITIES.map((name) => [name, name]),
      (chosen) => draft({ priority: /** @type {Draft["priority"]} */ (chosen) }),
    ),
  );
  const target = segments(
    "Whom it is for",
    [
      ["user", "User"],
      ["role", "Role"],
      ["broadcast", "Everyone"],
    ],
    (chosen) => draft({ target: chosen }),
  );
  const value = field(
    "User id",
    input((text) => draft({ value: text })),
  );
  const valueLabel = /** @type {HTMLElement} */ (value.element.querySelector("label"));
  const everyone = h("p", { class: "explained" }, "Every authenticated user gets it.");
  const message = field(
    "Message",
    input((text) => draft({ message: text })),
    {
      optional: true,
      hint: "Fills the field message of the payload, where that has none.",
    },
  );
  const data = field(
    "Payload",
    h("textarea", {
      class: "code",
      rows: 11,
      spellcheck: "false",
      autocomplete: "off",
      autocapitalize: "off",
      oninput: (/** @type {Event & { target: HTMLTextAreaElement }} */ event) =>
        draft({ data: event.target.value }),
    }),
    { class: "payload" },
  );
  const where = h("p", { class: "where", role: "status" });
  const goThere = button("Go there", () => {
    const fault = faultOf(data.control.value);
    if (fault === null) return;
    data.control.focus();
    data.control.setSelectionRange(fault.offset, fault.offset + 1);
  });
  const format = button("Format", () => {
    const { value: read, fault } = parse(data.control.value);
    if (fault === null) draft({ data: pretty(read) });
  });
  const templates = h(
    "div",
    { class: "templates", role: "group", "aria-label": "Templates" },
    h("span", { "aria-hidden": "true" }, "Begin with"),
    TEMPLATES.map((template) =>
      button(
        template.type,
        () =>
          draft({
            type: template.type,
            priority: template.priority,
            data: pretty(template.data),
          }),
        { kind: "quiet", label: `Begin with ${template.type}` },
      ),
    ),
  );
  const raise = h("input", {
    type: "checkbox",
    id: "raise",
    onchange: () => draft({ asAdministrator: raise.checked }),
  });
  const raised = h(
    "div",
    { class: "check" },
    raise,
    h("label", { for: "raise" }, "Send as an administrator"),
    h("p", { class: "hint" }, "Else as whoever is connected, who may need the permission publish."),
  );
  const go = button("Send", () => {}, { kind: "primary", type: "submit", icon: "send" });
  const form = h(
    "form",
    {
      novalidate: true,
      onsubmit: (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        submit();
      },
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        submit();
      },
    },
    known,
    templates,
    h("div", { class: "columns" }, type.element, priority.element),
    target.element,
    value.element,
    everyone,
    message.element,
    data.element,
    h("div", { class: "under" }, where, h("div", { class: "buttons" }, goThere, format)),
    development ? raised : null,
    h(
      "div",
      { class: "buttons" },
      go,
      h("span", { class: "keys" }, h("kbd", {}, "Ctrl"), " + ", h("kbd", {}, "Enter")),
    ),
  );

  function submit() {
    // Not what was drawn last: one may type faster than that.
    const lack = lackOf(state().sending.draft);
    const fields = { type, value, data };
    for (const [name, one] of Object.entries(fields)) {
      one.complain(lack?.field === name && name !== "data" ? lack.message : null);
    }
    if (lack === null) void actions.send();
    else fields[lack.field].control.focus();
  }

  const sent = h("ul", { class: "rows sent", "aria-live": "polite" });
  const nothing = empty(
    "send",
    "Nothing sent yet",
    "What the server answers is said here: the id of the event, and whether it came to this page.",
  );

  return {
    element: h(
      "div",
      { class: "panel send" },
      card("Event", form),
      h("div", { class: "stack" }, card("Answers", nothing, sent)),
    ),
    /** @param {State} state */
    render({ sending, events, link, settings }) {
      const current = sending.draft;
      enter(type.control, current.type);
      enter(priority.control, current.priority);
      target.choose(current.target);
      enter(value.control, current.value);
      show(value.element, current.target !== "broadcast");
      show(everyone, current.target === "broadcast");
      const isUser = current.target === "user";
      say(valueLabel, isUser ? "User id" : "Role");
      const me = (link.settings ?? settings).who;
      const self = me.way === "development" ? me.userId.trim() : "yourself";
      attribute(value.control, "placeholder", isUser ? self : "EDITOR");
      enter(message.control, current.message);
      enter(data.control, current.data);
      raise.checked = current.asAdministrator;
      const fault = faultOf(current.data);
      attribute(data.control, "aria-invalid", fault === null ? null : "true");
      attribute(where, "data-tone", fault === null ? "good" : "bad");
      say(
        where,
        fault === null
          ? "Valid JSON"
          : `Line ${fault.line}, column ${fault.column}: ${fault.message}`,
      );
      show(goThere, fault !== null);
      enable(format, fault === null);
      enable(go, !sending.busy);

      show(nothing, sending.sent.length === 0);
      show(sent, sending.sent.length > 0);
      const user = me.way === "development" ? me.userId.trim() : "";
      keyed(
        sent,
        sending.sent,
        ({ n }) => n,
        (one) =>
          answer(one, () => explain(one.eventId ?? "", one.target === "user" ? one.value : user)),
        (element, one) => {
          arrival(element, one, events, link.status.isConnected);
        },
      );
    },
  };
}

/** @type {WeakMap<Element, ReturnType<typeof chip>>} */
const arrivals = new WeakMap();

/**
 * @param {Sent} sent
 * @param {() => void} explain
 */
function answer(sent, explain) {
  const { at, type, eventId, hint, trouble, took } = sent;
  const head = h(
    "p",
    { class: "sent-head" },
    h("strong", {}, type),
    ` to ${audienceOf(sent)}`,
    h("span", { class: "when" }, `${clock(at)} · ${duration(took)}`),
  );
  const told = notice();
  told.set(trouble);
  const here = chip();
  const element = h(
    "li",
    {},
    head,
    hint === null ? null : h("p", { class: "hinted" }, h("strong", {}, "Hint: "), hint),
    eventId === null
      ? told.element
      : h(
          "div",
          { class: "sent-id" },
          here.element,
          h("code", {}, eventId),
          button("Explain", explain, { kind: "quiet", label: `Explain who got ${eventId}` }),
        ),
  );
  arrivals.set(element, here);
  return element;
}

/**
 * Says whether what was sent came to this page.
 *
 * @param {Element} element
 * @param {Sent} sent
 * @param {import("../events.js").Events} events
 * @param {boolean} connected
 */
function arrival(element, { eventId }, events, connected) {
  const here = arrivals.get(element);
  // What came once did come, though its row may be gone by now.
  if (here === undefined || eventId === null || here.element.dataset.tone === "good") return;
  const row = find(events, eventId);
  if (row !== null) here.set("Arrived here", "good");
  else here.set(connected ? "Not here" : "Not connected", "calm");
}
