/** A small line of figures over time. */
import { attribute, h, say, svg } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 40;
const MARGIN = 2;
/** So many figures have room at first: a line of two would say too much. */
const FEWEST = 30;

/**
 * The line and what lies below it, as SVG paths. Where a figure is missing, so is the line.
 *
 * @param {readonly (number | null)[]} values
 * @param {number} places how many fit; what is there is at the right
 * @returns {{ line: string, area: string, top: number }} `top`: what the upper edge stands for
 */
export function pathsOf(values, places) {
  const top = Math.max(1, ...values.map((value) => value ?? 0));
  const step = WIDTH / Math.max(1, places - 1);
  const first = places - values.length;
  let line = "";
  let area = "";
  let start = 0;
  let drawing = false;
  const close = (/** @type {number} */ x) => {
    if (drawing) area += `L${x} ${HEIGHT}L${start} ${HEIGHT}Z`;
    drawing = false;
  };
  for (const [index, value] of values.entries()) {
    const x = round((first + index) * step);
    if (value === null) {
      close(round((first + index - 1) * step));
      continue;
    }
    const y = round(HEIGHT - MARGIN - (value / top) * (HEIGHT - 2 * MARGIN));
    const point = `${drawing ? "L" : "M"}${x} ${y}`;
    if (!drawing) start = x;
    line += point;
    area += point;
    drawing = true;
  }
  close(WIDTH);
  return { line, area, top };
}

/** @param {number} n */
function round(n) {
  return Math.round(n * 10) / 10;
}

/**
 * @param {string} name
 * @param {string} unit
 * @param {(value: number) => string} format
 */
export function sparkline(name, unit, format) {
  const area = svg("path", { class: "spark-area" });
  const line = svg("path", { class: "spark-line" });
  const picture = svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    svg("path", { class: "spark-base", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }),
    area,
    line,
  );
  const value = h("span", { class: "spark-value" }, "–");
  const top = h("span", { class: "spark-top" });
  const element = h(
    "figure",
    { class: "spark-card" },
    h("figcaption", {}, h("span", {}, name), top),
    h("p", {}, value, " ", h("span", { class: "unit" }, unit)),
    picture,
  );
  return {
    element,
    /** @param {readonly (number | null)[]} values */
    set(values) {
      const paths = pathsOf(values, Math.max(FEWEST, values.length));
      attribute(line, "d", paths.line);
      attribute(area, "d", paths.area);
      const known = values.filter((one) => one !== null);
      const now = values.at(-1) ?? null;
      const text = now === null ? "–" : format(now);
      say(value, text);
      say(top, known.length === 0 ? "" : `max ${format(Math.max(...known))}`);
      const told = known.length === 0 ? "no figures yet" : `now ${text} ${unit}`;
      attribute(picture, "aria-label", `${name}: ${told}`);
    },
  };
}
