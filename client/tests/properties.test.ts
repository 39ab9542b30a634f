import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Action, Signal, Timer } from "../src/model.js";
import type { Control } from "../src/types.js";
import {
  answer,
  connected,
  failed,
  LIMITED,
  ping,
  type Story,
  said,
  stories,
  streamed,
  UNAUTHORISED,
} from "./model.js";
import { missed, World } from "./world.js";

const RUNS = { numRuns: 1_000 };
const LONG = { maxLength: 60, size: "max" } as const;
const LONGER = { maxLength: 150, size: "max" } as const;

const controls: Control[] = [
  { type: "gap", data: { from: "c1", to: "c2", reason: "epoch" } },
  { type: "authExpiring", data: { expiresAt: 1, refreshUrl: "" } },
  { type: "disconnecting", data: { reason: "drain", reconnectAfter: 5 } },
  { type: "disconnecting", data: { reason: "kicked", reconnectAfter: null } },
];

const signals: Signal[] = [
  connected(),
  connected(null),
  streamed("e1"),
  ping("c3"),
  answer(["e1", "e2"]),
  answer(["e3"], { hasMore: true }),
  { type: "retry", after: 50 },
  failed(),
  failed({ recovery: "none" }),
  LIMITED,
  UNAUTHORISED,
  ...controls.map((control) => said(control, "c4")),
];

const timers: Timer[] = ["next", "open", "mute", "stable", "probe", "probeOpen", "climb", "token"];

const callers: Action["type"][] = [
  "connect",
  "reconnect",
  "forceSSE",
  "forcePolling",
  "offline",
  "online",
  "hidden",
  "visible",
  "freeze",
  "resume",
];

type Happening = (story: Story) => unknown;

const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.constantFrom(...callers).map(
    (type): Happening =>
      (story) =>
        story.do({ type } as Action),
  ),
  fc.constantFrom(...signals).map(
    (signal): Happening =>
      (story) =>
        story.tell(signal),
  ),
  fc.constantFrom(...signals).map(
    (signal): Happening =>
      (story) =>
        story.probe(signal),
  ),
  fc.tuple(fc.constantFrom(...timers), fc.constantFrom(0, 200_000)).map(
    ([timer, late]): Happening =>
      (story) =>
        story.state.timers[timer] !== undefined && story.ring(timer, late),
  ),
  fc.constant<Happening>((story) =>
    story.do({ type: "token", run: story.state.fetching ?? 0, refreshAfter: story.now + 5 }),
  ),
  fc.constant<Happening>((story) => {
    const { failure } = failed() as Extract<Signal, { type: "failed" }>;
    story.do({ type: "tokenFailed", run: story.state.fetching ?? 0, failure });
  }),
);

describe("whatever happens", () => {
  test("nothing is left after `disconnect`", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(happening, LONG), (refreshable, all) => {
        const story = refreshable ? stories.authorizing() : stories.opening();
        for (const happen of all) happen(story);
        story.do({ type: "disconnect" });
        expect(story.state).toMatchObject({
          phase: "idle",
          link: null,
          probe: null,
          timers: {},
          fetching: null,
        });
      }),
      RUNS,
    );
  });

  test("there is always a way on, or an error that says why not", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(happening, LONG), (refreshable, all) => {
        const story = refreshable ? stories.authorizing() : stories.opening();
        for (const happen of all) {
          happen(story);
          const { phase, link, timers, error, fetching } = story.state;
          if (phase === "frozen") continue;
          if (phase === "stopped") expect(error).not.toBeNull();
          else if (phase === "authorizing") expect([fetching, timers.open]).not.toContain(null);
          else if (link === null) expect(timers.next).toBeDefined();
          else expect(timers.open ?? timers.mute).toBeDefined();
        }
      }),
      RUNS,
    );
  });

  test("a stream is never tried beside a stream", () => {
    fc.assert(
      fc.property(fc.array(happening, LONG), (all) => {
        const story = stories.opening();
        for (const happen of all) {
          happen(story);
          const { method, probe, timers } = story.state;
          if (method === "sse") expect([probe, timers.probe]).toEqual([null, undefined]);
        }
      }),
      RUNS,
    );
  });
});

const which = fc.constantFrom<"link" | "probe">("link", "probe");

const turn: fc.Arbitrary<(world: World) => void> = fc.oneof(
  { weight: 24, arbitrary: fc.boolean().map((visible) => (w: World) => w.publish(visible)) },
  {
    weight: 40,
    arbitrary: fc.tuple(which, fc.integer({ min: 1, max: 4 })).map(
      ([which, limit]) =>
        (w: World) =>
          w.advance(which, limit),
    ),
  },
  { weight: 16, arbitrary: fc.constant((w: World) => w.ring("next")) },
  { weight: 8, arbitrary: fc.constant((w: World) => w.ping()) },
  { weight: 8, arbitrary: fc.constant((w: World) => w.ring("probe")) },
  { weight: 4, arbitrary: fc.constant((w: World) => w.ring()) },
  {
    weight: 8,
    arbitrary: fc
      .tuple(which, fc.constantFrom<"retry" | "fallback_polling">("retry", "fallback_polling"))
      .map(
        ([which, recovery]) =>
          (w: World) =>
            w.fail(which, recovery),
      ),
  },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom("forceSSE", "offline", "online", "disconnect", "connect", "connect")
      .map((type) => (w: World) => w.do(type as "connect")),
  },
  // Not often: until it is told otherwise it tries no streams then.
  { weight: 1, arbitrary: fc.constant((w: World) => w.do("forcePolling")) },
);

describe("under any switching between streams and polls", () => {
  const run = (turns: ((world: World) => void)[]) => {
    const world = new World();
    world.do("connect");
    for (const take of turns) take(world);
    // In the end the network is well again, and everything comes home.
    world.do("forceSSE");
    for (let time = 0; time < world.log.length + 3; time += 1) world.advance("link", 1);
    return world;
  };

  test("each event is handed over once, in order, and none is lost", () => {
    fc.assert(
      fc.property(fc.array(turn, LONGER), (turns) => {
        const { seen, expected } = run(turns);
        expect(seen).toEqual(expected);
      }),
      RUNS,
    );
  });

  test("what was trimmed is told as a hole, and only that", () => {
    const trim = { weight: 1, arbitrary: fc.constant((w: World) => w.trim()) };
    const turns = fc.array(fc.oneof({ weight: 40, arbitrary: turn }, trim), LONGER);
    fc.assert(
      fc.property(turns, (all) => {
        const { seen, expected } = run(all);
        const offsets = seen.filter((item) => typeof item === "number");
        const holes = missed(seen);
        expect(offsets).toEqual(expected.filter((offset) => !holes.has(offset)));
        expect(offsets.filter((offset) => holes.has(offset))).toEqual([]);
      }),
      RUNS,
    );
  });
});
