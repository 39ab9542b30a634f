/** Runs in the page: a client, and a record of what it did and of what happened to the page. */
import { type Gap, SSEClient, type SSEClientOptions, type Status } from "../../src/index.js";

interface Events {
  counted: { n: number };
}

/** Options of a client, as far as they can be handed into a page. */
export interface Setup
  extends Omit<
    SSEClientOptions<Events>,
    "eventHandlers" | "onGap" | "onError" | "getToken" | "fetch" | "EventSource" | "storage"
  > {
  /** Default here: `false`. */
  shareConnection?: boolean;
  /** Whether tokens are asked of the test. */
  tokens?: boolean;
}

/** Times are Unix milliseconds, by the clock that the test has, too. */
export interface Recorded {
  readonly events: { n: number; id: string; timestamp: number; at: number }[];
  readonly gaps: (Gap & { at: number })[];
  readonly statuses: (Status & { at: number })[];
  readonly errors: { name: string; code: string; fatal: boolean; at: number }[];
  /** The names of the streams that said `connected`. */
  readonly streams: string[];
  pings: number;
  /** What the page was told: `pagehide kept`, `freeze`, `online`, … */
  readonly page: { type: string; at: number }[];
}

export type Order = "connect" | "disconnect" | "reconnect" | "forceSSE" | "forcePolling";

declare global {
  /** Gets a token from the test. */
  var nextToken: () => Promise<string>;
  var record: (setup: Setup) => void;
  /** What was recorded since the page was loaded, whichever client it was. */
  var recorded: Recorded;
  var client: SSEClient<Events>;
}

globalThis.recorded = {
  events: [],
  gaps: [],
  statuses: [],
  errors: [],
  streams: [],
  pings: 0,
  page: [],
};
const now = () => ({ at: Date.now() });

globalThis.record = ({ tokens = false, ...setup }) => {
  const options = {
    endpoint: "/api/sse",
    shareConnection: false,
    ...setup,
    ...(tokens ? { getToken: () => globalThis.nextToken() } : {}),
    eventHandlers: {
      counted: ({ data: { n }, id, timestamp }: { data: { n: number } } & Identity) =>
        recorded.events.push({ n, id, timestamp, ...now() }),
      connected: ({ data }: { data: { clientId: string } }) => recorded.streams.push(data.clientId),
      ping: () => {
        recorded.pings += 1;
      },
    },
    onGap: (gap: Gap) => recorded.gaps.push({ ...gap, ...now() }),
    onError: ({ name, code, fatal }: { name: string; code: string; fatal: boolean }) =>
      recorded.errors.push({ name, code, fatal, ...now() }),
  };
  const client = new SSEClient<Events>(options);
  const note = () => recorded.statuses.push({ ...client.getStatus(), ...now() });
  note();
  client.subscribe(note);
  globalThis.client = client;
};

interface Identity {
  id: string;
  timestamp: number;
}

for (const type of ["freeze", "resume", "visibilitychange"]) {
  document.addEventListener(type, () => recorded.page.push({ type, ...now() }));
}
for (const type of ["online", "offline", "pagehide", "pageshow"]) {
  window.addEventListener(type, (event) => {
    const kept = (event as Partial<PageTransitionEvent>).persisted ? " kept" : "";
    recorded.page.push({ type: type + kept, ...now() });
  });
}
