import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { READ_REST } from "../src/joiner.js";
import { ANSWER, ANSWER_SPREAD, QUIET, RELIEF } from "../src/member.js";
import { Browser, Tab } from "./tabs.world.js";

type Happening = (browser: Browser) => unknown;

const RUNS = { numRuns: 2_000 };
const LONGER = { maxLength: 120, size: "max" } as const;

const pick = fc.nat(7);
const chosen = ({ tabs }: Browser, index: number) => tabs[index % tabs.length] as Tab;
const alive = (browser: Browser, index: number) => {
  const tabs = browser.tabs.filter((tab) => tab.alive);
  return tabs[index % Math.max(1, tabs.length)];
};

const happenings: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.boolean().map((visible) => (b: Browser) => b.publish(visible)) },
  {
    weight: 8,
    arbitrary: fc.tuple(pick, pick).map(
      ([to, by]) =>
        (b: Browser) =>
          b.receive(chosen(b, to), by),
    ),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(pick, fc.integer({ min: 1, max: 4 })).map(
      ([index, events]) =>
        (b: Browser) =>
          b.advance(chosen(b, index), events),
    ),
  },
  { weight: 3, arbitrary: fc.constant((b: Browser) => b.tell()) },
  {
    weight: 4,
    arbitrary: fc.tuple(pick, fc.integer({ min: 1, max: 4 }), fc.nat(4), fc.nat(2)).map(
      ([index, limit, well, lag]) =>
        (b: Browser) =>
          b.answer(chosen(b, index), limit, well > 0, lag),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(pick, fc.boolean()).map(
      ([back, latest]) =>
        (b: Browser) =>
          b.tabs.length < 6 && b.open(latest ? "latest" : `c${Math.max(0, b.log.length - back)}`),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        pick,
        fc.constantFrom("disconnect", "connect", "freeze", "resume", "hidden", "visible"),
      )
      .map(
        ([index, type]) =>
          (b: Browser) =>
            b.act(chosen(b, index), { type: type as "connect" }),
      ),
  },
  { weight: 1, arbitrary: pick.map((index) => (b: Browser) => b.cut(chosen(b, index))) },
  { weight: 1, arbitrary: pick.map((index) => (b: Browser) => b.ring(chosen(b, index))) },
  {
    weight: 1,
    arbitrary: pick.map((index) => (b: Browser) => {
      const tab = alive(b, index);
      if (tab !== undefined && b.tabs.length > 1) b.crash(tab);
    }),
  },
);

/** Everybody who is there gets a leader who answers, and the rest comes. */
function comeToRest(browser: Browser): void {
  for (const tab of browser.tabs) browser.act(tab, { type: "resume" });
  browser.now += READ_REST;
  browser.settle();
  // Something more happens in the log; who stood elsewhere is brought in by that.
  for (let turn = 0; turn < 3; turn += 1) {
    browser.publish(true);
    browser.settle();
  }
}

/** One that began with a tab, and in which all that has happened. */
function browserAfter(happened: readonly Happening[]): Browser {
  const browser = new Browser();
  browser.open("latest");
  for (const happening of happened) happening(browser);
  return browser;
}

/** Tabs of which the first leads, and all know it. */
function tabs(number: number): { browser: Browser; leader: Tab; others: Tab[] } {
  const browser = new Browser();
  for (let index = 0; index < number; index += 1) browser.open("latest");
  browser.settle();
  const [leader, ...others] = browser.tabs as [Tab, ...Tab[]];
  expect(browser.leaders).toEqual([leader]);
  return { browser, leader, others };
}

/** Two of them. */
function pair(): { browser: Browser; leader: Tab; other: Tab } {
  const { browser, leader, others } = tabs(2);
  return { browser, leader, other: others[0] as Tab };
}

describe("tabs", () => {
  test("follow the first, and open nothing", () => {
    const { browser, leader, others } = tabs(12);
    browser.publish(true);
    browser.settle();
    for (const tab of [leader, ...others]) expect(tab.seen).toEqual([1]);
    for (const { member, commands } of others) {
      expect(member).toMatchObject({ role: "following", leader: leader.id, asked: false });
      expect(commands).toEqual([]);
      expect(member.status?.isConnected).toBe(true);
    }
  });

  test.each(["disconnect", "freeze"] as const)("go on without one that leads: %s", (type) => {
    const { browser, leader, others } = tabs(3);
    browser.act(leader, { type });
    browser.publish(true);
    browser.settle();
    expect(browser.leaders).toEqual([others[0]]);
    for (const tab of others) expect(tab.seen).toEqual([1]);
    expect(leader.seen).toEqual([]);
    browser.act(leader, { type: type === "freeze" ? "resume" : "connect" });
    browser.settle();
    expect(leader.seen).toEqual([1]);
    expect(browser.leaders).toEqual([others[0]]);
  });

  test("are brought in from the log where what they ask for is older than what is remembered", () => {
    const browser = new Browser();
    for (let n = 0; n < 30; n += 1) browser.publish(n % 3 !== 0);
    browser.open("latest");
    browser.settle();
    const late = browser.open("c10");
    browser.settle();
    expect(browser.leaders).toHaveLength(1);
    expect(late.seen).toEqual(browser.expected(late));
    expect(late.seen.length).toBeGreaterThan(10);
  });

  test("that ask for nothing old are given nothing old, even if the leader has it still to read", () => {
    const { browser, leader } = tabs(1);
    browser.cut(leader);
    browser.publish(true);
    const young = browser.open("latest");
    browser.settle();
    expect(leader.seen).toEqual([1]);
    expect(young.seen).toEqual([]);
    browser.publish(true);
    browser.settle();
    expect(young.seen).toEqual([2]);
  });

  test("take the lock from one that does not answer, and that one follows when it wakes", () => {
    const { browser, leader, other } = pair();
    const took = browser.now;
    expect(browser.ring(other)).toBe(true); // asks
    leader.inbox.clear();
    expect(other.member.timers.rob).toBeLessThanOrEqual(browser.now + ANSWER + ANSWER_SPREAD);
    expect(browser.ring(other)).toBe(true);
    expect(browser.now - took).toBeLessThanOrEqual(QUIET + ANSWER + ANSWER_SPREAD);
    browser.settle();
    expect(browser.leaders).toEqual([other]);
    expect(leader.member.role).toBe("following");
  });

  test("do not take it from one that answers", () => {
    const { browser, leader, other } = pair();
    browser.ring(other);
    browser.settle();
    expect(other.member.timers.rob).toBeUndefined();
    expect(browser.leaders).toEqual([leader]);
  });

  test("that are seen relieve one that nobody sees and that does not come through", () => {
    const { browser, leader, other } = pair();
    browser.act(leader, { type: "hidden" });
    browser.settle();
    expect(other.member.timers.relieve).toBeUndefined();
    browser.cut(leader);
    while (browser.receive(other, 0));
    const due = other.member.timers.relieve as number;
    expect(due - browser.now).toBeLessThanOrEqual(2 * RELIEF);
    browser.now = due;
    browser.act(other, { type: "timer", timer: "relieve" });
    browser.settle();
    expect(browser.leaders).toEqual([other]);
  });

  test("that are seen and hear nothing wake one that nobody sees", () => {
    const { browser, leader, other } = pair();
    browser.act(leader, { type: "hidden" });
    browser.settle();
    const { looked } = leader;
    browser.ring(other); // asks
    browser.settle();
    expect(leader.looked).toBe(looked + 1);
  });

  test("do not relieve one that is seen itself, nor if they are not", () => {
    const { browser, leader, other } = pair();
    browser.cut(leader);
    while (browser.receive(other, 0));
    expect(other.member.timers.relieve).toBeUndefined();
    browser.act(leader, { type: "hidden" });
    browser.act(other, { type: "hidden" });
    while (browser.receive(other, 0));
    expect(other.member.timers.relieve).toBeUndefined();
  });

  test("look to the connection as one page, that is hidden if all are", () => {
    const { browser, leader, other } = pair();
    browser.act(leader, { type: "hidden" });
    browser.settle();
    expect(leader.hidden).toBe(false);
    browser.act(other, { type: "hidden" });
    browser.settle();
    expect(leader.hidden).toBe(true);
    browser.act(other, { type: "visible" });
    browser.settle();
    expect(leader.hidden).toBe(false);
    browser.act(other, { type: "hidden" });
    browser.act(other, { type: "disconnect" });
    browser.settle();
    expect(leader.hidden).toBe(true);
  });

  test("all stop with a connection that has stopped, and none tries it again", () => {
    const { browser, leader, others } = tabs(3);
    browser.cut(leader, "stopped");
    browser.settle();
    for (const { member } of browser.tabs) {
      expect(member).toMatchObject({ role: "out", timers: {} });
      expect(member.status?.connectionStatus).toBe("stopped");
    }
    for (const { commands } of others) expect(commands).toEqual([]);
    browser.act(others[0] as Tab, { type: "connect" });
    browser.settle();
    expect(browser.leaders).toEqual([others[0]]);
  });

  test("have the leader do what they are told to do", () => {
    const { browser, leader, other } = pair();
    browser.act(other, { type: "forcePolling" });
    browser.settle();
    expect(leader.commands).toEqual(["connect", "forcePolling"]);
    const third = new Tab("third", "latest");
    browser.tabs.push(third);
    browser.act(third, { type: "forceSSE" });
    browser.settle();
    expect(leader.commands).toEqual(["connect", "forcePolling", "forceSSE"]);
    expect(third.commands).toEqual([]);
  });

  test("have nothing left after `disconnect`", () => {
    fc.assert(
      fc.property(fc.array(happenings, LONGER), (happened) => {
        const browser = browserAfter(happened);
        for (const tab of browser.tabs) browser.act(tab, { type: "disconnect" });
        for (const { alive, connection, member } of browser.tabs) {
          expect(connection).toBeNull();
          if (alive) expect(member).toMatchObject({ role: "out", timers: {} });
        }
      }),
      RUNS,
    );
  });

  test("whatever happens to them, each gets every event once, in order", () => {
    let followed = 0;
    fc.assert(
      fc.property(fc.array(happenings, LONGER), (happened) => {
        const browser = browserAfter(happened);
        comeToRest(browser);
        for (const tab of browser.tabs) {
          const { role } = tab.member;
          const expected = browser.expected(tab);
          if (tab.alive && (role === "leading" || role === "following")) {
            expect(tab.seen).toEqual(expected);
            if (role === "following") followed += tab.seen.length;
          } else expect(tab.seen).toEqual(expected.slice(0, tab.seen.length));
        }
      }),
      RUNS,
    );
    // Most of it came from other tabs.
    expect(followed).toBeGreaterThan(RUNS.numRuns);
  });

  test("whatever happens to them, one of them has a connection, and no more", () => {
    fc.assert(
      fc.property(fc.array(happenings, LONGER), (happened) => {
        const browser = browserAfter(happened);
        comeToRest(browser);
        const inside = browser.tabs.filter(
          ({ alive, member: { role } }) => alive && (role === "leading" || role === "following"),
        );
        expect(browser.leaders).toHaveLength(inside.length > 0 ? 1 : 0);
      }),
      RUNS,
    );
  });
});
