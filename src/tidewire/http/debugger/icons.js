/** Small pictures, drawn on a grid of 20 by 20. They say nothing that a text beside them does not. */
import { svg } from "./dom.js";

/** @type {Readonly<Record<string, string>>} */
const PATHS = {
  brand: "M2 12.5c2.7 0 2.7-5 5.3-5s2.7 5 5.4 5 2.6-5 5.3-5",
  connection:
    "M7.5 12.5l5-5M8 5.5l1.7-1.7a4 4 0 0 1 5.6 0 4 4 0 0 1 0 5.6L13.6 11M12 14.5l-1.7 1.7a4 4 0 0 1-5.6 0 4 4 0 0 1 0-5.6L6.4 9",
  send: "M17 3L8.5 11.5M17 3l-5 14-3.5-5.5L3 8z",
  events: "M3 5h14M3 10h14M3 15h9",
  health: "M2.5 10.5h3.7l2.1-6 3.6 11 2.2-5h3.4",
  clients:
    "M7.5 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.5c0-3 2.4-4.6 5.5-4.6s5.5 1.6 5.5 4.6M13 3.8a3 3 0 0 1 0 5.4M15 12.2c1.9.6 3 2.1 3 4.3",
  log: "M4 3.5h12v13H4zM7 7.5h6M7 10.5h6M7 13.5h3",
  pause: "M7 4.5v11M13 4.5v11",
  play: "M6.5 4.5l9 5.5-9 5.5z",
  copy: "M7 7h9.5v9.5H7zM4.5 12.5h-1v-9h9v1",
  close: "M5 5l10 10M15 5L5 15",
  save: "M10 3v9M6.5 9l3.5 3.5L13.5 9M4 16.5h12",
  clear: "M4 6h12M8 6V4h4v2M6 6l.6 10.5h6.8L14 6",
  empty: "M3 11l2.4-6.5h9.2L17 11v5.5H3zM3 11h4.2c.3 1.5 1.3 2.3 2.8 2.3s2.5-.8 2.8-2.3H17",
  lock: "M5 9h10v7.5H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  alert: "M10 3.5L18 16.5H2zM10 8v4M10 14.2v.3",
};

/** @param {keyof typeof PATHS & string} name */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] ?? "" }),
  );
}
