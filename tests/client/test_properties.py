"""What holds whatever happens, and in whatever order."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.story import (
    LIMITED,
    SETTINGS,
    UNAUTHORISED,
    Story,
    answer,
    connected,
    failed,
    ping,
    said,
    streamed,
)
from tests.client.world import World, missed, offset_of
from tidewire.client.messages import Gap
from tidewire.client.model import Command, Retry, Signal, Timer

RUNS = settings(max_examples=300)

Happening: TypeAlias = Callable[[Story], object]
Turn: TypeAlias = Callable[[World], object]

CONTROLS = [
    said("gap", {"from": "c1", "to": "c2", "reason": "epoch"}, "c4"),
    said("authExpiring", {"expiresAt": 1, "refreshUrl": ""}, "c4"),
    said("disconnecting", {"reason": "drain", "reconnectAfter": 5}, "c4"),
    said("disconnecting", {"reason": "kicked", "reconnectAfter": None}, "c4"),
]
SIGNALS: list[Signal] = [
    connected(),
    connected(None),
    streamed("e1"),
    ping("c3"),
    answer(["e1", "e2"]),
    answer(["e3"], has_more=True),
    Retry(50),
    failed(),
    failed(recovery="none"),
    LIMITED,
    UNAUTHORISED,
    *CONTROLS,
]
COMMANDS: list[Command] = [
    "connect",
    "reconnect",
    "forceSSE",
    "forcePolling",
    "pause",
    "resume",
]
TIMERS: list[Timer] = list(get_args(Timer))


def rung(timer: Timer, late: float) -> Happening:
    def happen(story: Story) -> None:
        if timer in story.state.timers:
            story.ring(timer, late)

    return happen


def begun(*, refreshable: bool) -> Story:
    return Story(replace(SETTINGS, refreshable=refreshable)).do("connect")


happenings: st.SearchStrategy[Happening] = st.one_of(
    st.sampled_from(COMMANDS).map(lambda command: lambda story: story.do(command)),
    st.sampled_from(SIGNALS).map(lambda signal: lambda story: story.tell(signal)),
    st.sampled_from(SIGNALS).map(lambda signal: lambda story: story.probe(signal)),
    st.builds(rung, st.sampled_from(TIMERS), st.sampled_from([0.0, 200_000.0])),
    st.just(lambda story: story.token(story.now + 5)),
    st.just(lambda story: story.no_token(failed())),
)
lives = st.lists(happenings, max_size=60)


@RUNS
@given(st.booleans(), lives)
def test_nothing_is_left_after_disconnect(refreshable: bool, life: list[Happening]) -> None:
    story = begun(refreshable=refreshable)
    for happen in life:
        happen(story)
    state = story.do("disconnect").state
    left = (state.phase, state.link, state.probe, state.timers, state.fetching)
    assert left == ("idle", None, None, {}, None)


@RUNS
@given(st.booleans(), lives)
def test_there_is_always_a_way_on_or_an_error_that_says_why_not(
    refreshable: bool, life: list[Happening]
) -> None:
    story = begun(refreshable=refreshable)
    for happen in life:
        happen(story)
        state = story.state
        if state.phase == "stopped":
            assert state.error is not None
        elif state.phase == "authorizing":
            assert state.fetching is not None
            assert "open" in state.timers
        elif state.link is None:
            # Where the consumer has enough, its next step is the way on.
            assert "next" in state.timers or (state.paused and state.phase == "open")
        else:
            assert {"open", "mute"} & state.timers.keys() or state.paused


@RUNS
@given(lives)
def test_a_stream_is_never_tried_beside_a_stream(life: list[Happening]) -> None:
    story = begun(refreshable=False)
    for happen in life:
        happen(story)
        if story.state.method == "sse":
            assert story.state.probe is None
            assert "probe" not in story.state.timers


@RUNS
@given(lives)
def test_a_consumer_that_has_room_is_never_left_waiting(life: list[Happening]) -> None:
    story = begun(refreshable=False)
    for happen in life:
        happen(story)
    state = story.do("pause").do("resume").state
    if state.phase == "open":
        assert state.timers.keys() & {"next", "open", "mute"}


which = st.sampled_from(["link", "probe"])
turns: list[tuple[int, st.SearchStrategy[Turn]]] = [
    (24, st.booleans().map(lambda visible: lambda world: world.publish(visible))),
    (
        40,
        st.tuples(which, st.integers(1, 4)).map(
            lambda how: lambda world: world.advance(*how)  # type: ignore[arg-type]
        ),
    ),
    (16, st.just(lambda world: world.ring("next"))),
    (8, st.just(lambda world: world.ping())),
    (8, st.just(lambda world: world.ring("probe"))),
    (4, st.just(lambda world: world.ring())),
    (
        8,
        st.tuples(which, st.sampled_from(["retry", "fallback_polling"])).map(
            lambda how: lambda world: world.fail(*how)  # type: ignore[arg-type]
        ),
    ),
    (
        4,
        st.sampled_from(["forceSSE", "pause", "resume", "disconnect", "connect", "connect"]).map(
            lambda command: lambda world: world.do(command)  # type: ignore[arg-type]
        ),
    ),
    # Not often: until it is told otherwise it tries no streams then.
    (1, st.just(lambda world: world.do("forcePolling"))),
]
turn: st.SearchStrategy[Turn] = st.sampled_from(
    [kind for weight, kind in turns for _ in range(weight)]
).flatmap(lambda kind: kind)
trim: st.SearchStrategy[Turn] = st.just(lambda world: world.trim())


def played(taken: list[Turn], *, polls: bool) -> World:
    world = World()
    world.do("connect")
    if polls:
        # Where the most can happen: a stream is tried beside polls.
        world.advance("link", 1)
        world.fail("link", "fallback_polling")
        for timer in ("next", "probe"):
            world.ring(timer)
            world.advance("link", 1)
    for take in taken:
        take(world)
    # In the end the network is well again, and everything comes home.
    world.do("resume")
    world.do("forceSSE")
    for _ in range(len(world.log) + 3):
        world.advance("link", 1)
    return world


@RUNS
@given(st.lists(turn, max_size=150), st.booleans())
def test_each_event_is_delivered_once_in_order_and_none_is_lost(
    taken: list[Turn], polls: bool
) -> None:
    world = played(taken, polls=polls)
    assert world.seen == world.expected()


@RUNS
@given(st.lists(st.one_of(*[turn] * 20, trim), max_size=150), st.booleans())
def test_what_was_trimmed_is_told_as_a_hole_and_only_that(taken: list[Turn], polls: bool) -> None:
    world = played(taken, polls=polls)
    offsets = [item for item in world.seen if isinstance(item, int)]
    holes = missed(world.seen)
    assert offsets == [offset for offset in world.expected() if offset not in holes]
    assert not holes & set(offsets)


@RUNS
@given(st.lists(turn, max_size=150), st.booleans())
def test_a_cursor_that_is_kept_anywhere_leads_to_the_rest_and_misses_none(
    taken: list[Turn], polls: bool
) -> None:
    world = played(taken, polls=polls)
    for cursor, count in world.kept:
        if cursor is None:
            # Before the first connection there is none, and nothing is claimed.
            continue
        assert not any(isinstance(item, Gap) for item in world.seen)
        assert world.expected(after=offset_of(cursor)) == world.seen[count:]
