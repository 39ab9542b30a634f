/** Puts the page together. */
import { Actions } from "./actions.js";
import { Api } from "./api.js";
import { Connection } from "./connection.js";
import { remember, remembered } from "./page.js";
import { clientsPanel } from "./panels/clients.js";
import { connectionPanel } from "./panels/connection.js";
import { eventsPanel } from "./panels/events.js";
import { healthPanel } from "./panels/health.js";
import { logPanel } from "./panels/log.js";
import { sendPanel } from "./panels/send.js";
import { rounds } from "./rounds.js";
import { shell } from "./shell.js";
import { initialState, panelOf, reduce } from "./state.js";
import { makeStore } from "./store.js";
import { pauseAfter } from "./trouble.js";

/** Where the server is, wherever it is mounted: this is `debug/sse/main.js` under it. */
const base = new URL("../../", import.meta.url);

/** How often relative times are drawn anew, in milliseconds. */
const TICK_MS = 1000;

const development =
  document.querySelector('meta[name="mode"]')?.getAttribute("content") === "development";

const store = makeStore(
  reduce,
  initialState({
    development,
    now: Date.now(),
    hash: location.hash,
    kept: remembered(),
  }),
  (draw) => requestAnimationFrame(draw),
);
const { dispatch } = store;
const state = () => store.state;

/** @type {import("./api.js").Note} */
const note = (source, what, detail = "") =>
  dispatch({ type: "activity.noted", at: Date.now(), source, what, detail });
const api = new Api(base, note);
const connection = new Connection(base, dispatch, note);
const actions = new Actions(api, store);

/**
 * @param {string} event
 * @param {string} user
 */
const explain = (event, user) => {
  dispatch({ type: "clients.asking", event, user });
  location.hash = "#clients";
  if (event !== "" && user !== "") void actions.explain();
};
const connect = () => {
  const { settings } = store.state;
  remember(settings);
  connection.connect(settings);
  reading.begin();
};

const page = shell(
  {
    connection: connectionPanel({ development, state, dispatch, connection, connect }),
    send: sendPanel({ development, state, dispatch, actions, explain }),
    events: eventsPanel({ dispatch, explain }),
    health: healthPanel({ actions }),
    clients: clientsPanel({ dispatch, actions }),
    log: logPanel({ dispatch }),
  },
  development,
);
document.body.append(page.element);
store.subscribe((state) => page.render(state));
page.render(store.state);

/** Asks for what is seen. */
const read = async () => {
  if (document.visibilityState !== "visible") return;
  const { panel } = store.state;
  if (panel === "health") await actions.readHealth();
  if (panel === "clients") await actions.readClients();
};
const troubleSeen = () => {
  const { panel, health, clients } = store.state;
  return panel === "health" ? health.trouble : panel === "clients" ? clients.trouble : null;
};
const reading = rounds(read, () => pauseAfter(troubleSeen()));

addEventListener("hashchange", () => {
  dispatch({ type: "shown", panel: panelOf(location.hash) });
  // Each panel is a page of its own.
  scrollTo(0, 0);
  reading.begin();
});
setInterval(() => dispatch({ type: "ticked", now: Date.now() }), TICK_MS);
reading.begin();
