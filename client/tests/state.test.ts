import { describe, expect, test } from "vitest";
import { CLIMB_AFTER, TOKEN_REST } from "../src/link.js";
import type { Action, Phase, State } from "../src/model.js";
import { FLAP_REST } from "../src/probe.js";
import { MAX_OVERLAP, POLL_SPACING, patience } from "../src/signal.js";
import { OFFLINE_RETRY, SLEPT } from "../src/state.js";
import type { Disconnected } from "../src/types.js";
import {
  answer,
  connected,
  failed,
  LIMITED,
  PING,
  ping,
  type Story,
  said,
  stories,
  streamed,
  UNAUTHORISED,
} from "./model.js";

type Started = keyof typeof stories;
type Outcome = readonly [Phase, State["method"]];

const STREAM_OPENS: Outcome = ["opening", "sse"];
const POLL_OPENS: Outcome = ["opening", "longPolling"];
const IDLE = (method: State["method"]): Outcome => ["idle", method];
const NOTHING = null;

/** What leads where. `null`: nothing changes, and nothing is done. */
type Row = Readonly<Partial<Record<Action["type"], Outcome | null>>>;

/** Nobody has asked for a connection, or it has ended. */
const ENDED: Row = {
  connect: STREAM_OPENS,
  disconnect: IDLE("sse"),
  reconnect: STREAM_OPENS,
  forceSSE: STREAM_OPENS,
  forcePolling: POLL_OPENS,
  offline: NOTHING,
  online: NOTHING,
  freeze: NOTHING,
  resume: NOTHING,
};

/** Somebody has, and it goes by that way; `but`: what is otherwise. */
const going = (method: State["method"], but: Row = {}): Row => ({
  connect: NOTHING,
  disconnect: IDLE(method),
  reconnect: STREAM_OPENS,
  forceSSE: STREAM_OPENS,
  forcePolling: POLL_OPENS,
  offline: ["offline", method],
  online: NOTHING,
  freeze: ["frozen", method],
  resume: NOTHING,
  ...but,
});

/** From which state. */
const TABLE: Record<Started, Row> = {
  idle: ENDED,
  authorizing: going("sse", {
    reconnect: ["authorizing", "sse"],
    forceSSE: ["authorizing", "sse"],
    forcePolling: ["authorizing", "longPolling"],
  }),
  opening: going("sse"),
  streaming: going("sse"),
  waiting: going("sse", { online: ["waiting", "sse"] }),
  polling: going("longPolling"),
  holding: going("longPolling"),
  shortPolling: going("shortPolling"),
  probing: going("longPolling"),
  offline: going("sse", { online: ["waiting", "sse"] }),
  frozen: going("sse", { offline: NOTHING, resume: STREAM_OPENS }),
  stopped: ENDED,
};

const ROWS = Object.entries(TABLE).flatMap(([from, row]) =>
  Object.entries(row).map(
    ([action, to]) => [from as Started, action as "connect", to ?? NOTHING] as const,
  ),
);

describe("what the caller, the browser and the network do", () => {
  test.each(ROWS)("%s, %s → %j", (from, action, to) => {
    const story = stories[from]();
    const before = story.state;
    story.now += 100;
    story.do({ type: action });
    if (to === NOTHING) {
      expect(story.state).toEqual(before);
      expect(story.effects).toEqual([]);
      return;
    }
    expect([story.state.phase, story.state.method]).toEqual(to);
    expect(story.state.cursor).toBe(before.cursor);
    // There is a link exactly where one was asked for, and always one way on.
    const going = to[0] === "opening";
    expect(story.state.link !== null).toBe(going);
    if (to[0] !== "idle" && to[0] !== "frozen") {
      expect(story.state.timers.open ?? story.state.timers.next).toBeDefined();
    } else expect(story.state.timers).toEqual({});
  });

  test("whoever was connected is told that he is not any more, and what comes next", () => {
    const story = stories.streaming().tell(failed());
    const control = (data: Disconnected) => ({
      type: "control",
      control: { type: "disconnected", data },
    });
    expect(story.effects.at(-1)).toEqual(
      control({ reason: "CLOSED", willReconnect: true, nextIn: 250 }),
    );
    expect(stories.streaming().do({ type: "disconnect" }).effects).toEqual([
      control({ reason: "disconnect", willReconnect: false, nextIn: null }),
    ]);
  });

  test("a state that is handed in is not changed", () => {
    const story = stories.streaming();
    const before = structuredClone(story.state);
    const given = story.state;
    story.tell(streamed("e1")).tell(failed());
    expect(given).toEqual(before);
  });
});

describe("a stream", () => {
  test("is open when it has said so, and its cursor is ours", () => {
    const story = stories.opening().tell(connected("c7"));
    expect(story.state).toMatchObject({ phase: "open", method: "sse", cursor: "c7" });
    expect(story.told).toEqual(["connected"]);
    expect(story.in("open")).toBeUndefined();
    expect(story.in("mute")).toBe(patience(PING));
  });

  test("moves the cursor with each event that it hands over", () => {
    const story = stories.streaming().tell(streamed("e1"));
    expect(story.told).toEqual(["e1"]);
    expect(story.state.cursor).toBe("e1");
  });

  test("moves the cursor of a quiet one with its pings", () => {
    expect(stories.streaming().tell(ping("c9")).state.cursor).toBe("c9");
  });

  test("counts for nothing when it is not the current one any more", () => {
    const story = stories.streaming();
    const { run } = story.state.link ?? { run: 0 };
    story.tell(failed()).ring("next");
    const before = story.state;
    story.do({ type: "signal", run, signal: streamed("late") });
    expect(story.state).toEqual(before);
    expect(story.effects).toEqual([]);
  });

  test("is resumed from the cursor", () => {
    const story = stories.streaming().tell(streamed("e5")).tell(failed()).ring("next");
    expect(story.state.link).toMatchObject({ method: "sse", cursor: "e5" });
  });

  test("goes on behind a gap", () => {
    const gap = { from: "c1", to: "c9", reason: "epoch" } as const;
    const story = stories.opening().tell(connected(null));
    story.tell(said({ type: "gap", data: gap }, "c9"));
    expect(story.told).toEqual(["gap"]);
    expect(story.state).toMatchObject({ phase: "open", cursor: "c9" });
  });

  test("that fails is tried again later and later, and then replaced by polls", () => {
    const story = stories.opening();
    story.tell(failed());
    expect([story.state.phase, story.in("next")]).toEqual(["waiting", 250]);
    story.ring("next").tell(failed());
    expect([story.state.phase, story.in("next")]).toEqual(["waiting", 500]);
    story.ring("next").tell(failed());
    expect(story.state).toMatchObject({ phase: "waiting", method: "longPolling", sseFailures: 3 });
    expect(story.ring("next").state.link).toMatchObject({ method: "longPolling", held: false });
  });

  test("that opens and dies again and again is replaced by polls", () => {
    const story = stories.opening();
    for (let time = 0; time < 3; time += 1) {
      if (story.state.phase === "waiting") story.ring("next");
      story
        .tell(connected())
        .tell(streamed(`e${time}`))
        .tell(failed());
    }
    expect(story.state.method).toBe("longPolling");
  });

  test("that has lasted is forgiven its failures", () => {
    const story = stories.opening().tell(failed()).ring("next").tell(connected());
    expect(story.state.sseFailures).toBe(1);
    expect(story.ring("stable").state).toMatchObject({ sseFailures: 0, phase: "open" });
  });

  test("that does not open in time is replaced by polls at once", () => {
    const story = stories.opening();
    expect(story.in("open")).toBe(10_000);
    story.ring("open");
    expect(story.state).toMatchObject({ phase: "waiting", method: "longPolling" });
    expect(story.state.reason).toBe("OPEN_TIMEOUT");
    expect(story.in("next")).toBeLessThanOrEqual(1_000);
  });

  test("that says `connected` and then not even a ping is replaced by polls", () => {
    const story = stories.streaming().ring("mute");
    expect(story.state).toMatchObject({ method: "longPolling", reason: "MUTE" });
  });

  test("that falls silent later is opened again", () => {
    const story = stories.streaming();
    story.now += 1_000;
    story.tell(ping("c1"));
    expect(story.in("mute")).toBe(patience(PING));
    expect(story.ring("mute").state).toMatchObject({ method: "sse", phase: "waiting" });
  });

  test("is opened again at once when the machine has slept, and that is no failure", () => {
    const story = stories.streaming().ring("mute", SLEPT + 1);
    expect(story.state).toMatchObject({ phase: "opening", method: "sse", sseFailures: 0 });
  });

  test("is opened again when the page is seen and a ping is overdue", () => {
    const story = stories.streaming();
    story.now += PING - 1;
    expect(story.do({ type: "visible" }).state.phase).toBe("open");
    story.now += 2;
    expect(story.do({ type: "visible" }).state.phase).toBe("opening");
  });

  test("that has no number left is replaced by polls, and not tried sooner than allowed", () => {
    const story = stories.opening().tell(LIMITED);
    expect(story.state).toMatchObject({ method: "longPolling", reason: "RATE_LIMIT_EXCEEDED" });
    expect(story.in("probe")).toBe(60_000);
    expect(story.in("next")).toBeLessThanOrEqual(1_000);
  });

  test("is not tried sooner than the server has asked for, whoever is in a hurry", () => {
    const story = stories.opening().tell(failed({ retryAfter: 5_000, status: 503 }));
    expect(story.in("next")).toBe(5_000);
    expect(story.do({ type: "online" }).in("next")).toBe(5_000);
    expect(story.do({ type: "visible" }).in("next")).toBe(5_000);
  });

  test("that is replaced by polls after a busy server asked for patience leaves it that", () => {
    const busy = failed({ retryAfter: 5_000, status: 503, recovery: "restart_connection" });
    const story = stories.opening().tell(busy).ring("next").tell(busy).ring("next").tell(busy);
    expect([story.state.method, story.in("next")]).toEqual(["longPolling", 5_000]);
  });

  test("waits at least as long as its `retry` said", () => {
    const story = stories.streaming().tell({ type: "retry", after: 3_000 }).tell(failed());
    expect(story.in("next")).toBe(3_000);
  });

  test("that the server closes comes back when it was told to, and that is no failure", () => {
    const data = { reason: "drain", reconnectAfter: 4_000 };
    const story = stories.streaming().tell(said({ type: "disconnecting", data }));
    expect(story.told).toEqual(["disconnecting", "disconnected"]);
    expect(story.in("next")).toBe(4_000);
    expect(story.state).toMatchObject({ phase: "waiting", method: "sse", sseFailures: 0 });
  });

  test("that was sent away does not come back, and says so", () => {
    const data = { reason: "kicked", reconnectAfter: null };
    const story = stories.streaming().tell(said({ type: "disconnecting", data }));
    expect(story.told).toEqual(["disconnecting", "error", "disconnected"]);
    expect(story.state).toMatchObject({ phase: "stopped", reason: "kicked", timers: {} });
    expect(story.state.error?.code).toBe("SENT_AWAY");
  });

  test("does not come back by itself where that is not wanted, and says so", () => {
    for (const signal of [
      failed(),
      said({ type: "disconnecting", data: { reason: "drain", reconnectAfter: 1 } }),
    ]) {
      const story = stories.idle();
      story.state = { ...story.state, settings: { ...story.state.settings, autoReconnect: false } };
      story.do({ type: "connect" }).tell(connected()).tell(signal);
      expect(story.state.phase).toBe("stopped");
      expect(story.effects).toContainEqual(expect.objectContaining({ type: "error", fatal: true }));
    }
  });

  test("that is refused for good stops, with the error", () => {
    const refusal = failed({ code: "AUTH_FORBIDDEN", recovery: "none", status: 403 });
    const story = stories.opening().tell(refusal);
    expect(story.state).toMatchObject({ phase: "stopped", link: null, timers: {} });
    expect(story.effects).toEqual([
      { type: "error", failure: expect.objectContaining({ code: "AUTH_FORBIDDEN" }), fatal: true },
    ]);
  });

  test("ends with a problem as with a refusal", () => {
    const data = {
      ...(
        failed({ recovery: "restart_connection", code: "LOG_AWAY" }) as never as {
          failure: object;
        }
      ).failure,
      type: "urn:tidewire:problem:LOG_AWAY",
      title: "",
      retryable: true,
    } as never;
    const story = stories.streaming().tell(said({ type: "error", data }));
    expect(story.told).toEqual(["error", "error", "disconnected"]);
    expect(story.state).toMatchObject({ phase: "waiting", reason: "LOG_AWAY" });
  });
});

describe("a poll", () => {
  test("hands over what it brought, in order, and goes on from its cursor", () => {
    const story = stories.holding().tell(answer(["e1", "e2"], { cursor: "c2" }));
    expect(story.told).toEqual(["e1", "e2"]);
    expect(story.state.cursor).toBe("c2");
    expect(story.ring("next").state.link).toMatchObject({ cursor: "c2", held: true });
  });

  test("is asked again at once when there is more, else not faster than its spacing", () => {
    const more = stories.holding().tell(answer(["e1"], { hasMore: true }));
    expect(more.state.link).not.toBeNull();
    const story = stories.holding();
    story.now += 50;
    expect(story.tell(answer(["e1"])).in("next")).toBe(POLL_SPACING - 50);
  });

  test("says first what was missed", () => {
    const gap = { from: "c1", to: "c8", reason: "expired" } as const;
    const story = stories.holding().tell(answer(["e9"], { gap }));
    expect(story.told).toEqual(["gap", "e9"]);
  });

  test("is held only when one has been answered", () => {
    const story = stories.opening().tell(LIMITED).ring("next");
    expect(story.state.link?.held).toBe(false);
    story.tell(answer([]));
    expect(story.state.phase).toBe("open");
    expect(story.ring("next").state.link?.held).toBe(true);
    expect(story.in("open")).toBe(35_000);
  });

  test("is not held any more when that fails twice, though answers at once succeed", () => {
    const story = stories.holding().tell(failed());
    expect(story.state).toMatchObject({ phase: "waiting", method: "longPolling" });
    story.ring("next").tell(answer([])).ring("next").tell(failed());
    expect(story.state).toMatchObject({ phase: "waiting", method: "shortPolling" });
    expect(story.ring("next").state.link?.held).toBe(false);
    expect(story.tell(answer([])).in("next")).toBe(10_000);
  });

  test("is held again after a while", () => {
    const story = stories.shortPolling();
    expect(story.in("climb")).toBeLessThanOrEqual(CLIMB_AFTER);
    expect(story.ring("climb").state).toMatchObject({ method: "longPolling", phase: "open" });
    story.ring("next").tell(failed());
    expect(story.state.method).toBe("shortPolling");
  });

  test("is held again when everything had failed, and not only the holding", () => {
    const story = stories.holding();
    for (let time = 0; time < 3; time += 1) {
      story.tell(failed());
      story.ring("next");
    }
    expect(story.state.method).toBe("shortPolling");
    expect(story.tell(answer([])).state.method).toBe("longPolling");
  });

  test("never gives up", () => {
    const story = stories.holding();
    for (let time = 0; time < 1_000; time += 1) story.tell(failed()).ring("next");
    expect(story.state).toMatchObject({ phase: "opening", method: "shortPolling" });
    expect(story.tell(failed()).in("next")).toBe(15_000);
  });

  test("that is one too many is not held, and waits as it was told", () => {
    const story = stories.holding().tell(LIMITED);
    expect(story.state).toMatchObject({ phase: "waiting", method: "shortPolling" });
    expect(story.in("next")).toBe(60_000);
  });

  test("is not answered for ever: it fails", () => {
    expect(stories.holding().ring("open").state).toMatchObject({
      phase: "waiting",
      reason: "OPEN_TIMEOUT",
    });
  });

  test("tries no streams beside it when it was told to poll", () => {
    const story = stories.streaming().do({ type: "forcePolling" }).tell(answer([])).ring("next");
    expect(story.in("probe")).toBeUndefined();
    story.do({ type: "disconnect" }).do({ type: "connect" });
    expect(story.state.method).toBe("longPolling");
    expect(story.do({ type: "forceSSE" }).state.method).toBe("sse");
  });
});

describe("a probe", () => {
  const lost = (story: Story) => {
    // Before the probe a stream has failed already.
    story.tell(failed()).ring("next").tell(failed());
    return story;
  };

  test("goes on beside the polls, from the cursor", () => {
    const story = stories
      .holding()
      .tell(answer(["e1"]))
      .ring("next")
      .ring("probe");
    expect(story.state.probe).toMatchObject({ method: "sse", cursor: "e1" });
    expect(story.state.link).toMatchObject({ method: "longPolling" });
    expect(story.tell(answer(["e2"])).told).toEqual(["e2"]);
    expect(story.state.probe).not.toBeNull();
  });

  test("that opens is the stream from then on, and brings nothing twice", () => {
    const story = stories.probing().tell(answer(["e1", "e2"], { cursor: "c2" }));
    story.probe(connected("c0"));
    expect(story.state).toMatchObject({ phase: "open", method: "sse", probe: null, cursor: "c2" });
    expect(story.state.timers.next).toBeUndefined();
    expect(story.tell(streamed("e1")).told).toEqual([]);
    expect(story.tell(ping("e1")).state.cursor).toBe("c2");
    expect(story.tell(streamed("e2")).told).toEqual([]);
    expect(story.state.cursor).toBe("c2");
    expect(story.tell(streamed("e3")).told).toEqual(["e3"]);
    expect(story.state.cursor).toBe("e3");
  });

  test("that is lost while it goes over what was polled is resumed behind that", () => {
    const story = stories
      .probing()
      .tell(answer(["e1", "e2"]))
      .probe(connected("c0"));
    story.tell(streamed("e1")).tell(failed()).ring("next");
    expect(story.state.link).toMatchObject({ method: "sse", cursor: "e2" });
    expect(story.state.overlap.size).toBe(0);
  });

  test("that brings something else before what was polled moves the cursor, and repeats nothing", () => {
    const story = stories.probing().tell(answer(["e1", "e2"]));
    story.probe(connected("c0")).tell(streamed("x"));
    expect(story.state.cursor).toBe("x");
    expect(story.tell(streamed("e1")).told).toEqual([]);
    expect(story.state.cursor).toBe("e1");
    story.tell(failed()).ring("next");
    expect(story.state.link).toMatchObject({ method: "sse", cursor: "e1" });
    expect(story.tell(connected("e1")).tell(streamed("e2")).told).toEqual([]);
  });

  test("that another stream of this client replaced is opened again", () => {
    const story = stories.probing().probe(connected("c0"));
    const data = { reason: "replaced", reconnectAfter: null };
    story.tell(said({ type: "disconnecting", data }));
    expect(story.state).toMatchObject({ phase: "waiting" });
    expect(story.ring("next").tell(connected("c0")).state.phase).toBe("open");
  });

  test("is not given up because it says first when to come back", () => {
    const story = stories.opening().tell(LIMITED).ring("next").ring("probe");
    story.probe({ type: "retry", after: 3_000 });
    expect(story.state.probe).not.toBeNull();
  });

  test.each([
    ["fails", (story: Story) => story.probe(failed())],
    ["stays mute", (story: Story) => story.ring("probeOpen")],
    ["starts with a gap", (story: Story) => story.probe(connected(null))],
    [
      "starts before a gap that a poll found",
      (story: Story) =>
        story.tell(answer(["e9"], { gap: { from: "a", to: "b", reason: "expired" } })),
    ],
    [
      "is overtaken by too many events",
      (story: Story) =>
        story.tell(answer(Array.from({ length: MAX_OVERLAP + 1 }, (_, n) => `e${n}`))),
    ],
  ])("that %s is dropped, and polls go on; the next comes later", (_, happen) => {
    const story = stories.probing();
    happen(story);
    expect(story.state).toMatchObject({ probe: null, phase: "open", method: "longPolling" });
    expect(story.state.overlap.size).toBe(0);
    expect(story.in("probe")).toBe(15_000);
    story.ring("probe");
    expect(story.probe(failed()).in("probe")).toBe(30_000);
    story.ring("probe");
    expect(story.probe(failed()).in("probe")).toBe(30_000);
  });

  test("that had no cursor to begin from is dropped when a poll has one", () => {
    const story = stories.opening().tell(LIMITED).ring("next").ring("probe");
    expect(story.state.probe?.cursor).toBeNull();
    expect(story.tell(answer(["e1"])).state.probe).toBeNull();
  });

  test("that succeeds while polls fail is the stream", () => {
    const story = stories.probing().tell(failed());
    expect(story.state.phase).toBe("waiting");
    expect(story.probe(connected()).state).toMatchObject({ phase: "open", method: "sse" });
  });

  test("whose stream does not last is followed by the next one much later", () => {
    const story = lost(stories.probing().probe(connected()));
    expect(story.state).toMatchObject({ method: "longPolling", flaps: 1 });
    expect(story.in("probe")).toBe(FLAP_REST[0]);
    story.ring("next").tell(answer([])).ring("probe").probe(connected()).tell(failed());
    expect(story.state).toMatchObject({ method: "longPolling", flaps: 2 });
    expect(story.in("probe")).toBe(FLAP_REST[1]);
  });

  test("whose stream lasts is believed again", () => {
    const story = stories.probing().probe(connected()).ring("stable");
    expect(story.state).toMatchObject({ flaps: 0, probes: 0, sseFailures: 0 });
  });

  test("waits until somebody sees the page", () => {
    const story = stories.holding().do({ type: "hidden" }).ring("probe");
    expect(story.state.probe).toBeNull();
    expect(story.do({ type: "visible" }).ring("probe").state.probe).not.toBeNull();
  });
});

describe("a token", () => {
  const held = () => {
    const story = stories.authorizing();
    return story.do({ type: "token", run: story.state.fetching ?? 0, refreshAfter: null });
  };
  const given = (story: Story, refreshAfter: number | null) =>
    story.do({ type: "token", run: story.state.fetching ?? 0, refreshAfter });

  test("is fetched before anything is opened", () => {
    const story = stories.authorizing();
    expect(story.told).toEqual(["fetchToken"]);
    expect(story.state).toMatchObject({ phase: "authorizing", link: null });
    expect(given(story, null).state).toMatchObject({ phase: "opening", token: "held" });
  });

  test("is fetched once, however many want it", () => {
    const story = stories.authorizing().do({ type: "reconnect" });
    expect(story.told).toEqual([]);
    expect(story.do({ type: "forcePolling" }).told).toEqual([]);
  });

  test("is renewed when it is due, and the open stream lives on with it", () => {
    const story = stories.authorizing();
    given(story, story.now + 2_700_000).tell(connected("c0", "client-7"));
    expect(story.in("token")).toBe(2_700_000);
    story.ring("token");
    expect(story.told).toEqual(["fetchToken"]);
    expect(story.state.phase).toBe("open");
    expect(given(story, null).effects).toEqual([{ type: "extend", clientId: "client-7" }]);
    expect(story.state.phase).toBe("open");
  });

  test("is renewed when the server says that it runs out", () => {
    const data = { expiresAt: 1, refreshUrl: "/api/auth/sse-token/refresh" };
    const story = held()
      .tell(connected())
      .tell(said({ type: "authExpiring", data }));
    expect(story.told).toEqual(["authExpiring", "fetchToken"]);
  });

  test("that looks old already does not make us ask without end", () => {
    const story = stories.authorizing();
    expect(given(story, story.now - 5_000).in("token")).toBe(TOKEN_REST);
  });

  test("is replaced once after a 401; the second 401 stops, with the error", () => {
    const story = held().tell(UNAUTHORISED);
    expect(story.told).toEqual(["error", "fetchToken"]);
    expect(story.state.phase).toBe("authorizing");
    given(story, null);
    expect(story.state.phase).toBe("opening");
    story.tell(UNAUTHORISED);
    expect(story.state).toMatchObject({ phase: "stopped", timers: {}, fetching: null });
    expect(story.effects).toEqual([
      {
        type: "error",
        failure: expect.objectContaining({ code: "AUTH_EXPIRED_TOKEN" }),
        fatal: true,
      },
    ]);
  });

  test("may be replaced again when it has worked meanwhile", () => {
    const story = held().tell(UNAUTHORISED);
    given(story, null).tell(connected());
    story.ring("stable").tell(UNAUTHORISED);
    expect(story.state.phase).toBe("authorizing");
  });

  test("with which streams open and end at once is not replaced again and again", () => {
    const story = held().tell(connected()).tell(UNAUTHORISED);
    given(story, null).tell(connected()).tell(UNAUTHORISED);
    expect(story.state.phase).toBe("stopped");
  });

  test("that cannot be replaced leaves a 401 to the user", () => {
    expect(stories.opening().tell(UNAUTHORISED).state.phase).toBe("stopped");
    expect(stories.holding().tell(UNAUTHORISED).state.phase).toBe("stopped");
  });

  test("or a cookie that runs out in mid-stream is shown once more", () => {
    const story = stories.streaming().tell(UNAUTHORISED);
    expect(story.state.phase).toBe("waiting");
    expect(story.ring("next").tell(UNAUTHORISED).state.phase).toBe("stopped");
  });

  const missed = (story: Story, signal: ReturnType<typeof failed>) => {
    if (signal.type !== "failed") throw new Error("not a failure");
    const run = story.state.fetching ?? 0;
    return story.do({ type: "tokenFailed", run, failure: signal.failure });
  };

  test("that does not come is asked for later and later", () => {
    const story = missed(stories.authorizing(), failed());
    expect([story.state.phase, story.in("next")]).toEqual(["waiting", 250]);
    story.ring("next");
    expect(story.told).toEqual(["fetchToken"]);
    expect(missed(story, failed()).in("next")).toBe(500);
    expect(story.ring("next").ring("open").state).toMatchObject({ reason: "TOKEN_TIMEOUT" });
  });

  test("that is refused stops", () => {
    expect(missed(stories.authorizing(), UNAUTHORISED).state.phase).toBe("stopped");
  });

  test("that cannot be renewed leaves open what is open", () => {
    const story = stories.authorizing();
    given(story, story.now + 100_000)
      .tell(connected())
      .ring("token");
    expect(missed(story, failed()).state.phase).toBe("open");
    expect(story.in("token")).toBe(TOKEN_REST);
  });

  test("of an earlier connection comes too late", () => {
    const story = stories.authorizing();
    const run = story.state.fetching ?? 0;
    story.do({ type: "disconnect" }).do({ type: "connect" });
    expect(story.do({ type: "token", run, refreshAfter: null }).state.phase).toBe("authorizing");
  });

  test("is not kept by whoever disconnects", () => {
    expect(held().do({ type: "disconnect" }).state.token).toBe("none");
  });

  test("is kept over a pause", () => {
    const story = stories.authorizing();
    given(story, story.now + 200_000).tell(connected());
    story.do({ type: "freeze" }).do({ type: "resume" });
    expect(story.state.phase).toBe("opening");
    expect(story.in("token")).toBe(200_000);
  });
});

describe("a pause", () => {
  test("without network ends by itself, should the browser be wrong", () => {
    const story = stories.offline();
    expect(story.in("next")).toBe(OFFLINE_RETRY);
    expect(story.ring("next").state.phase).toBe("opening");
  });

  test("with a crowd ends for each at another moment", () => {
    const story = stories.offline();
    story.random = 0.9;
    expect(story.do({ type: "online" }).in("next")).toBe(900);
  });

  test("keeps no timer of a frozen page", () => {
    expect(stories.frozen().state).toMatchObject({ timers: {}, link: null, cursor: "c0" });
  });

  test("ends at the cursor where it began", () => {
    const story = stories.streaming().tell(streamed("e4")).do({ type: "freeze" });
    expect(story.do({ type: "resume" }).state.link?.cursor).toBe("e4");
  });
});
