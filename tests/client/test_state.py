"""From which state what leads where."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from tests.client.story import (
    LIMITED,
    PING,
    SETTINGS,
    STORIES,
    UNAUTHORISED,
    Story,
    answer,
    authorizing,
    connected,
    failed,
    holding,
    idle,
    opening,
    ping,
    polling,
    probing,
    said,
    short_polling,
    stopped,
    streamed,
    streaming,
    waiting,
)
from tidewire.client.links import CLIMB_AFTER, TOKEN_REST, patience
from tidewire.client.messages import Control, Gap
from tidewire.client.model import (
    Command,
    Delivery,
    Extend,
    Method,
    Phase,
    Report,
    Retry,
    Signal,
    TokenCame,
    Told,
)
from tidewire.client.probes import FLAP_REST
from tidewire.client.signals import MAX_OVERLAP, POLL_SPACING
from tidewire.client.state import SLEPT

Outcome = tuple[Phase, Method]

STREAM_OPENS: Outcome = ("opening", "sse")
POLL_OPENS: Outcome = ("opening", "longPolling")
FORCED: dict[Command, Outcome] = {
    "reconnect": STREAM_OPENS,
    "forceSSE": STREAM_OPENS,
    "forcePolling": POLL_OPENS,
}

TABLE: dict[str, dict[Command, Outcome | None]] = {
    "idle": {**FORCED, "connect": STREAM_OPENS, "disconnect": ("idle", "sse")},
    "authorizing": {
        "connect": None,
        "disconnect": ("idle", "sse"),
        "reconnect": ("authorizing", "sse"),
        "forceSSE": ("authorizing", "sse"),
        "forcePolling": ("authorizing", "longPolling"),
    },
    "opening": {**FORCED, "connect": None, "disconnect": ("idle", "sse")},
    "streaming": {**FORCED, "connect": None, "disconnect": ("idle", "sse")},
    "waiting": {**FORCED, "connect": None, "disconnect": ("idle", "sse")},
    "polling": {**FORCED, "connect": None, "disconnect": ("idle", "longPolling")},
    "holding": {**FORCED, "connect": None, "disconnect": ("idle", "longPolling")},
    "short_polling": {**FORCED, "connect": None, "disconnect": ("idle", "shortPolling")},
    "probing": {**FORCED, "connect": None, "disconnect": ("idle", "longPolling")},
    "stopped": {**FORCED, "connect": STREAM_OPENS, "disconnect": ("idle", "sse")},
}
"""``None``: nothing changes, and nothing is done."""


def link_of(story: Story) -> tuple[Method, str | None, bool]:
    link = story.state.link
    assert link is not None
    return link.method, link.cursor, link.held


@pytest.mark.parametrize(
    ("name", "command", "outcome"),
    [(name, command, to) for name, row in TABLE.items() for command, to in row.items()],
)
def test_what_is_asked_for_leads_there(
    name: str, command: Command, outcome: Outcome | None
) -> None:
    story = STORIES[name]()
    before = deepcopy(story.state)
    story.now += 100
    story.do(command)
    state = story.state
    if outcome is None:
        assert state == before
        assert story.effects == ()
        return
    assert (state.phase, state.method) == outcome
    assert state.cursor == before.cursor
    assert (state.link is not None) == (outcome[0] == "opening")
    if outcome[0] == "idle":
        assert state.timers == {}
    else:
        assert {"open", "next"} & state.timers.keys()


def test_whoever_was_connected_is_told_that_he_is_not_any_more_and_what_comes_next() -> None:
    ended = streaming().tell(failed()).effects[-1]
    data = {"reason": "CLOSED", "willReconnect": True, "nextIn": 250}
    assert ended == Delivery(Control("disconnected", data))
    data = {"reason": "disconnect", "willReconnect": False, "nextIn": None}
    assert streaming().do("disconnect").effects == (Delivery(Control("disconnected", data)),)


def test_a_state_that_is_handed_in_is_not_changed() -> None:
    story = streaming()
    given, before = story.state, deepcopy(story.state)
    story.tell(streamed("e1")).tell(failed())
    assert given == before


class TestAStream:
    def test_is_open_when_it_has_said_so_and_its_cursor_is_ours(self) -> None:
        story = opening().tell(connected("c7"))
        state = story.state
        assert (state.phase, state.method, state.cursor) == ("open", "sse", "c7")
        assert story.told == ["connected"]
        assert story.left("open") is None
        assert story.left("mute") == patience(PING)

    def test_moves_the_cursor_with_each_event_that_it_delivers(self) -> None:
        story = streaming().tell(streamed("e1"))
        assert story.told == ["e1"]
        assert story.state.cursor == "e1"

    def test_moves_the_cursor_of_a_quiet_one_with_its_pings(self) -> None:
        assert streaming().tell(ping("c9")).state.cursor == "c9"

    def test_counts_for_nothing_when_it_is_not_the_current_one_any_more(self) -> None:
        story = streaming()
        link = story.state.link
        assert link is not None
        before = story.tell(failed()).ring("next").state
        story.do(Told(link.run, streamed("late")))
        assert story.state == before
        assert story.effects == ()

    def test_is_resumed_from_the_cursor(self) -> None:
        story = streaming().tell(streamed("e5")).tell(failed()).ring("next")
        assert link_of(story) == ("sse", "e5", False)

    def test_goes_on_behind_a_gap(self) -> None:
        story = opening().tell(connected(None))
        story.tell(said("gap", {"from": "c1", "to": "c9", "reason": "epoch"}, "c9"))
        assert story.effects == (Delivery(Gap("c1", "c9", "epoch")),)
        assert (story.state.phase, story.state.cursor) == ("open", "c9")

    def test_that_fails_is_tried_again_later_and_later_and_then_replaced_by_polls(self) -> None:
        story = opening().tell(failed())
        assert (story.state.phase, story.left("next")) == ("waiting", 250)
        story.ring("next").tell(failed())
        assert (story.state.phase, story.left("next")) == ("waiting", 500)
        story.ring("next").tell(failed())
        state = story.state
        assert (state.phase, state.method, state.sse_failures) == ("waiting", "longPolling", 3)
        assert link_of(story.ring("next")) == ("longPolling", None, False)

    def test_that_opens_and_dies_again_and_again_is_replaced_by_polls(self) -> None:
        story = opening()
        for time in range(3):
            if story.state.phase == "waiting":
                story.ring("next")
            story.tell(connected()).tell(streamed(f"e{time}")).tell(failed())
        assert story.state.method == "longPolling"

    def test_that_has_lasted_is_forgiven_its_failures(self) -> None:
        story = opening().tell(failed()).ring("next").tell(connected())
        assert story.state.sse_failures == 1
        story.ring("stable")
        assert (story.state.sse_failures, story.state.phase) == (0, "open")

    def test_that_does_not_open_in_time_is_replaced_by_polls_at_once(self) -> None:
        story = opening()
        assert story.left("open") == 10_000
        state = story.ring("open").state
        assert (state.phase, state.method) == ("waiting", "longPolling")
        assert state.reason == "OPEN_TIMEOUT"
        assert (story.left("next") or 0) <= 1_000

    def test_that_says_connected_and_then_not_even_a_ping_is_replaced_by_polls(self) -> None:
        state = streaming().ring("mute").state
        assert (state.method, state.reason) == ("longPolling", "MUTE")

    def test_that_falls_silent_later_is_opened_again(self) -> None:
        story = streaming()
        story.now += 1_000
        story.tell(ping("c1"))
        assert story.left("mute") == patience(PING)
        state = story.ring("mute").state
        assert (state.method, state.phase) == ("sse", "waiting")

    def test_is_opened_again_at_once_when_the_process_has_slept_and_that_is_no_failure(
        self,
    ) -> None:
        state = streaming().ring("mute", SLEPT + 1).state
        assert (state.phase, state.method, state.sse_failures) == ("opening", "sse", 0)

    def test_that_has_no_number_left_is_replaced_by_polls_and_not_tried_too_soon(self) -> None:
        story = opening().tell(LIMITED)
        state = story.state
        assert (state.method, state.reason) == ("longPolling", "RATE_LIMIT_EXCEEDED")
        assert story.left("probe") == 60_000
        assert (story.left("next") or 0) <= 1_000

    def test_is_not_tried_sooner_than_the_server_has_asked_for(self) -> None:
        assert opening().tell(failed(retry_after=5_000, status=503)).left("next") == 5_000

    def test_that_is_replaced_by_polls_leaves_a_busy_server_the_time_that_it_asked_for(
        self,
    ) -> None:
        busy = failed(retry_after=5_000, status=503, recovery="restart_connection")
        story = opening().tell(busy).ring("next").tell(busy).ring("next").tell(busy)
        assert (story.state.method, story.left("next")) == ("longPolling", 5_000)

    def test_waits_at_least_as_long_as_its_retry_said(self) -> None:
        assert streaming().tell(Retry(3_000)).tell(failed()).left("next") == 3_000

    def test_that_the_server_closes_comes_back_when_told_and_that_is_no_failure(self) -> None:
        story = streaming().tell(
            said("disconnecting", {"reason": "drain", "reconnectAfter": 4_000})
        )
        assert story.told == ["disconnecting", "disconnected"]
        assert story.left("next") == 4_000
        state = story.state
        assert (state.phase, state.method, state.sse_failures) == ("waiting", "sse", 0)

    def test_that_was_sent_away_does_not_come_back_and_says_so(self) -> None:
        story = streaming().tell(
            said("disconnecting", {"reason": "kicked", "reconnectAfter": None})
        )
        assert story.told == ["disconnecting", "error", "disconnected"]
        state = story.state
        assert (state.phase, state.reason, state.timers) == ("stopped", "kicked", {})
        assert state.error is not None
        assert state.error.code == "SENT_AWAY"

    @pytest.mark.parametrize(
        "signal", [failed(), said("disconnecting", {"reason": "drain", "reconnectAfter": 1})]
    )
    def test_does_not_come_back_by_itself_where_that_is_not_wanted(self, signal: Signal) -> None:
        story = Story(replace(SETTINGS, auto_reconnect=False)).do("connect").tell(connected())
        story.tell(signal)
        assert story.state.phase == "stopped"
        assert any(isinstance(each, Report) and each.fatal for each in story.effects)

    def test_that_is_refused_for_good_stops_with_the_failure(self) -> None:
        refusal = failed("AUTH_FORBIDDEN", recovery="none", status=403)
        story = opening().tell(refusal)
        state = story.state
        assert (state.phase, state.link, state.timers) == ("stopped", None, {})
        assert story.effects == (Report(refusal.failure, fatal=True),)

    def test_ends_with_a_problem_as_with_a_refusal(self) -> None:
        problem = {"code": "LOG_AWAY", "recovery": "restart_connection", "detail": "It is away."}
        story = streaming().tell(said("error", problem))
        assert story.told == ["error", "error", "disconnected"]
        assert (story.state.phase, story.state.reason) == ("waiting", "LOG_AWAY")


class TestAPoll:
    def test_delivers_what_it_brought_in_order_and_goes_on_from_its_cursor(self) -> None:
        story = holding().tell(answer(["e1", "e2"], cursor="c2"))
        assert story.told == ["e1", "e2"]
        assert story.state.cursor == "c2"
        assert link_of(story.ring("next")) == ("longPolling", "c2", True)

    def test_is_asked_again_at_once_when_there_is_more_else_not_faster_than_its_spacing(
        self,
    ) -> None:
        assert holding().tell(answer(["e1"], has_more=True)).state.link is not None
        story = holding()
        story.now += 50
        assert story.tell(answer(["e1"])).left("next") == POLL_SPACING - 50

    def test_says_first_what_was_missed(self) -> None:
        story = holding().tell(answer(["e9"], gap=Gap("c1", "c8", "expired")))
        assert story.told == ["gap", "e9"]

    def test_is_held_only_when_one_has_been_answered(self) -> None:
        story = opening().tell(LIMITED).ring("next")
        assert link_of(story) == ("longPolling", None, False)
        story.tell(answer([]))
        assert story.state.phase == "open"
        assert link_of(story.ring("next")) == ("longPolling", "c0", True)
        assert story.left("open") == 35_000

    def test_is_not_held_any_more_when_that_fails_twice_though_answers_at_once_succeed(
        self,
    ) -> None:
        story = holding().tell(failed())
        assert (story.state.phase, story.state.method) == ("waiting", "longPolling")
        story.ring("next").tell(answer([])).ring("next").tell(failed())
        assert (story.state.phase, story.state.method) == ("waiting", "shortPolling")
        assert link_of(story.ring("next")) == ("shortPolling", "c0", False)
        assert story.tell(answer([])).left("next") == 10_000

    def test_is_held_again_after_a_while(self) -> None:
        story = short_polling()
        assert (story.left("climb") or 0) <= CLIMB_AFTER
        story.ring("climb")
        assert (story.state.method, story.state.phase) == ("longPolling", "open")
        story.ring("next").tell(failed())
        assert story.state.method == "shortPolling"

    def test_is_held_again_when_everything_had_failed_and_not_only_the_holding(self) -> None:
        story = holding()
        for _ in range(3):
            story.tell(failed()).ring("next")
        assert story.state.method == "shortPolling"
        assert story.tell(answer([])).state.method == "longPolling"

    def test_never_gives_up(self) -> None:
        story = holding()
        for _ in range(1_000):
            story.tell(failed()).ring("next")
        assert (story.state.phase, story.state.method) == ("opening", "shortPolling")
        assert story.tell(failed()).left("next") == 15_000

    def test_that_is_one_too_many_is_not_held_and_waits_as_it_was_told(self) -> None:
        story = holding().tell(LIMITED)
        assert (story.state.phase, story.state.method) == ("waiting", "shortPolling")
        assert story.left("next") == 60_000

    def test_is_not_waited_for_without_end(self) -> None:
        state = holding().ring("open").state
        assert (state.phase, state.reason) == ("waiting", "OPEN_TIMEOUT")

    def test_has_no_stream_tried_beside_it_when_it_was_told_to_poll(self) -> None:
        story = streaming().do("forcePolling").tell(answer([])).ring("next")
        assert story.left("probe") is None
        story.do("disconnect").do("connect")
        assert story.state.method == "longPolling"
        assert story.do("forceSSE").state.method == "sse"


def lose(story: Story) -> Story:
    """A stream that fails until polls take over; before the probe one has failed already."""
    return story.tell(failed()).ring("next").tell(failed())


class TestAProbe:
    def test_goes_on_beside_the_polls_from_the_cursor(self) -> None:
        story = holding().tell(answer(["e1"])).ring("next").ring("probe")
        probe = story.state.probe
        assert probe is not None
        assert (probe.method, probe.cursor) == ("sse", "e1")
        assert link_of(story)[0] == "longPolling"
        assert story.tell(answer(["e2"])).told == ["e2"]
        assert story.state.probe is not None

    def test_that_opens_is_the_stream_from_then_on_and_brings_nothing_twice(self) -> None:
        story = probing().tell(answer(["e1", "e2"], cursor="c2")).probe(connected("c0"))
        state = story.state
        assert (state.phase, state.method, state.cursor) == ("open", "sse", "c2")
        assert state.probe is None
        assert story.left("next") is None
        assert story.tell(streamed("e1")).told == []
        assert story.tell(ping("e1")).state.cursor == "c2"
        assert story.tell(streamed("e2")).told == []
        assert story.state.cursor == "c2"
        assert story.tell(streamed("e3")).told == ["e3"]
        assert story.state.cursor == "e3"

    def test_that_is_lost_while_it_goes_over_what_was_polled_is_resumed_behind_that(
        self,
    ) -> None:
        story = probing().tell(answer(["e1", "e2"])).probe(connected("c0"))
        story.tell(streamed("e1")).tell(failed()).ring("next")
        assert link_of(story) == ("sse", "e2", False)
        assert story.state.overlap == frozenset()

    def test_moves_the_cursor_with_its_pings_once_it_has_gone_over_what_was_polled(self) -> None:
        story = probing().tell(answer(["e1", "e2"])).probe(connected("c0"))
        assert story.tell(streamed("e1")).tell(ping("e1")).state.cursor == "e2"
        assert story.tell(streamed("e2")).tell(ping("c9")).state.cursor == "c9"

    @pytest.mark.parametrize(
        "how",
        ["fails", "stays mute", "starts with a gap", "starts before a gap", "is overtaken"],
    )
    def test_that_comes_to_nothing_is_dropped_and_polls_go_on_and_the_next_comes_later(
        self, how: str
    ) -> None:
        story = probing()
        match how:
            case "fails":
                story.probe(failed())
            case "stays mute":
                story.ring("probeOpen")
            case "starts with a gap":
                story.probe(connected(None))
            case "starts before a gap":
                story.tell(answer(["e9"], gap=Gap("a", "b", "expired")))
            case _:
                story.tell(answer([f"e{n}" for n in range(MAX_OVERLAP + 1)]))
        state = story.state
        assert (state.probe, state.phase, state.method) == (None, "open", "longPolling")
        assert state.overlap == frozenset()
        assert story.left("probe") == 15_000
        assert story.ring("probe").probe(failed()).left("probe") == 30_000
        assert story.ring("probe").probe(failed()).left("probe") == 30_000

    def test_that_had_no_cursor_to_begin_from_is_dropped_when_a_poll_has_one(self) -> None:
        story = opening().tell(LIMITED).ring("next").ring("probe")
        probe = story.state.probe
        assert probe is not None
        assert probe.cursor is None
        assert story.tell(answer(["e1"])).state.probe is None

    def test_that_succeeds_while_polls_fail_is_the_stream(self) -> None:
        story = probing().tell(failed())
        assert story.state.phase == "waiting"
        state = story.probe(connected()).state
        assert (state.phase, state.method) == ("open", "sse")

    def test_whose_stream_does_not_last_is_followed_by_the_next_one_much_later(self) -> None:
        story = lose(probing().probe(connected()))
        assert (story.state.method, story.state.flaps) == ("longPolling", 1)
        assert story.left("probe") == FLAP_REST[0]
        story.ring("next").tell(answer([])).ring("probe").probe(connected()).tell(failed())
        assert (story.state.method, story.state.flaps) == ("longPolling", 2)
        assert story.left("probe") == FLAP_REST[1]

    def test_whose_stream_lasts_is_believed_again(self) -> None:
        state = probing().probe(connected()).ring("stable").state
        assert (state.flaps, state.probes, state.sse_failures) == (0, 0, 0)


def held() -> Story:
    return authorizing().token()


class TestAToken:
    def test_is_fetched_before_anything_is_opened(self) -> None:
        story = authorizing()
        assert story.told == ["fetchToken"]
        assert (story.state.phase, story.state.link) == ("authorizing", None)
        story.token()
        assert (story.state.phase, story.state.token) == ("opening", "held")

    def test_is_fetched_once_however_many_want_it(self) -> None:
        story = authorizing().do("reconnect")
        assert story.told == []
        assert story.do("forcePolling").told == []

    def test_is_renewed_when_it_is_due_and_the_open_stream_lives_on_with_it(self) -> None:
        story = authorizing()
        story.token(story.now + 2_700_000).tell(connected("c0", "client-7"))
        assert story.left("token") == 2_700_000
        story.ring("token")
        assert story.told == ["fetchToken"]
        assert story.state.phase == "open"
        assert story.token().effects == (Extend("client-7"),)
        assert story.state.phase == "open"

    def test_is_renewed_when_the_server_says_that_it_runs_out(self) -> None:
        data = {"expiresAt": 1, "refreshUrl": "/api/auth/sse-token/refresh"}
        story = held().tell(connected()).tell(said("authExpiring", data))
        assert story.told == ["authExpiring", "fetchToken"]

    def test_that_looks_old_already_does_not_make_us_ask_without_end(self) -> None:
        story = authorizing()
        assert story.token(story.now - 5_000).left("token") == TOKEN_REST

    def test_is_replaced_once_after_a_401_and_the_second_401_stops(self) -> None:
        story = held().tell(UNAUTHORISED)
        assert story.told == ["error", "fetchToken"]
        assert story.state.phase == "authorizing"
        assert story.token().state.phase == "opening"
        story.tell(UNAUTHORISED)
        state = story.state
        assert (state.phase, state.timers, state.fetching) == ("stopped", {}, None)
        assert story.effects == (Report(UNAUTHORISED.failure, fatal=True),)

    def test_may_be_replaced_again_when_it_has_worked_meanwhile(self) -> None:
        story = held().tell(UNAUTHORISED).token().tell(connected())
        assert story.ring("stable").tell(UNAUTHORISED).state.phase == "authorizing"

    def test_with_which_streams_open_and_end_at_once_is_not_replaced_again_and_again(
        self,
    ) -> None:
        story = held().tell(connected()).tell(UNAUTHORISED)
        story.token().tell(connected()).tell(UNAUTHORISED)
        assert story.state.phase == "stopped"

    def test_that_cannot_be_replaced_leaves_a_401_to_the_user(self) -> None:
        assert opening().tell(UNAUTHORISED).state.phase == "stopped"
        assert holding().tell(UNAUTHORISED).state.phase == "stopped"

    def test_or_a_cookie_that_runs_out_in_mid_stream_is_shown_once_more(self) -> None:
        story = streaming().tell(UNAUTHORISED)
        assert story.state.phase == "waiting"
        assert story.ring("next").tell(UNAUTHORISED).state.phase == "stopped"

    def test_that_does_not_come_is_asked_for_later_and_later(self) -> None:
        story = authorizing().no_token(failed())
        assert (story.state.phase, story.left("next")) == ("waiting", 250)
        assert story.ring("next").told == ["fetchToken"]
        assert story.no_token(failed()).left("next") == 500
        assert story.ring("next").ring("open").state.reason == "TOKEN_TIMEOUT"

    def test_that_is_refused_stops(self) -> None:
        assert authorizing().no_token(UNAUTHORISED).state.phase == "stopped"

    def test_that_cannot_be_renewed_leaves_open_what_is_open(self) -> None:
        story = authorizing()
        story.token(story.now + 100_000).tell(connected()).ring("token")
        assert story.no_token(failed()).state.phase == "open"
        assert story.left("token") == TOKEN_REST

    def test_of_an_earlier_connection_comes_too_late(self) -> None:
        story = authorizing()
        late = TokenCame(story.state.fetching or 0)
        story.do("disconnect").do("connect")
        assert story.do(late).state.phase == "authorizing"

    def test_is_not_kept_by_whoever_disconnects(self) -> None:
        assert held().do("disconnect").state.token == "none"


class TestAConsumerThatIsSlower:
    def test_is_not_taken_for_a_stream_that_is_silent(self) -> None:
        story = streaming().do("pause")
        assert story.left("mute") is None
        assert story.tell(streamed("e1")).left("mute") is None
        story.now += 10 * PING
        assert story.do("resume").left("mute") == patience(PING)
        assert story.state.phase == "open"

    def test_is_brought_no_further_poll_until_it_has_room(self) -> None:
        story = holding().tell(answer(["e1"])).do("pause")
        story.now += 60_000
        assert story.do("resume").left("next") == 0
        assert link_of(story.ring("next")) == ("longPolling", "e1", True)

    def test_has_a_poll_let_go_of_that_was_only_just_asked(self) -> None:
        story = holding().tell(answer(["e1"], has_more=True)).do("pause")
        assert (story.state.link, story.left("next")) == (None, None)
        story = holding().tell(answer(["e1"])).do("pause")
        assert (story.state.link, story.left("next")) == (None, None)

    def test_has_its_failures_mended_all_the_same(self) -> None:
        story = streaming().do("pause").tell(failed())
        assert story.state.phase == "waiting"
        assert story.ring("next").tell(connected()).state.phase == "open"
        assert story.left("mute") is None

    def test_has_its_token_renewed_all_the_same(self) -> None:
        story = authorizing()
        story.token(story.now + 100_000).tell(connected()).do("pause")
        assert story.ring("token").told == ["fetchToken"]

    @pytest.mark.parametrize("made", [idle, opening, waiting, polling, stopped])
    def test_changes_nothing_by_having_room_where_nothing_was_held_back(
        self, made: Callable[[], Story]
    ) -> None:
        story = made()
        before = deepcopy(story.state)
        assert story.do("resume").state == before
