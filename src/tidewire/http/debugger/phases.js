/** The life of a connection as a picture, in which the place where it is stands out. */
import { attribute, svg } from "./dom.js";
import { sentenceOf } from "./link.js";

/**
 * @typedef {import("./client.js").Status} Status
 * @typedef {{ name: string, x: number, y: number, width: number,
 *   is: (status: Status) => boolean }} Place
 */

const HEIGHT = 30;

/** @type {readonly Place[]} */
const PLACES = [
  {
    name: "Disconnected",
    x: 0,
    y: 0,
    width: 104,
    is: ({ connectionStatus }) => connectionStatus === "disconnected",
  },
  {
    name: "Connecting",
    x: 128,
    y: 0,
    width: 96,
    is: ({ connectionStatus }) => connectionStatus === "connecting",
  },
  {
    name: "Reconnecting",
    x: 128,
    y: 62,
    width: 96,
    is: ({ connectionStatus }) => connectionStatus === "reconnecting",
  },
  {
    name: "Offline",
    x: 0,
    y: 62,
    width: 104,
    is: ({ connectionStatus }) => connectionStatus === "offline",
  },
  {
    name: "Stopped",
    x: 0,
    y: 124,
    width: 104,
    is: ({ connectionStatus }) => connectionStatus === "stopped",
  },
  {
    name: "Stream",
    x: 252,
    y: 0,
    width: 104,
    is: ({ isConnected, method }) => isConnected && method === "sse",
  },
  {
    name: "Long polling",
    x: 252,
    y: 62,
    width: 104,
    is: ({ isConnected, method }) => isConnected && method === "longPolling",
  },
  {
    name: "Short polling",
    x: 252,
    y: 124,
    width: 104,
    is: ({ isConnected, method }) => isConnected && method === "shortPolling",
  },
];

/** Lines between them, each with what it leads to. */
const WAYS = [
  "M104 15H128",
  "M224 15H252",
  "M224 77H252",
  "M176 30V62",
  "M128 77H104",
  "M128 88L104 130",
  "M304 30V62",
  "M304 92V124",
];

export function phases() {
  const places = PLACES.map((place) => {
    const { name, x, y, width } = place;
    const element = svg(
      "g",
      { class: "place" },
      svg("rect", { x: x + 1, y: y + 1, width: width - 2, height: HEIGHT - 2, rx: 7 }),
      svg("text", { x: x + width / 2, y: y + HEIGHT / 2 + 4, "text-anchor": "middle" }, name),
    );
    return { place, element };
  });
  const element = svg(
    "svg",
    { class: "phases", viewBox: "0 0 356 154", role: "img" },
    svg("path", { class: "ways", d: WAYS.join("") }),
    places.map((one) => one.element),
  );
  return {
    element,
    /** @param {Status} status */
    set(status) {
      for (const { place, element } of places) attribute(element, "data-here", place.is(status));
      attribute(element, "aria-label", `Phases of a connection; now: ${sentenceOf(status)}`);
    },
  };
}
