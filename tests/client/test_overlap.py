"""A probe's stream brings what polls brought meanwhile (e1), and before it something else (x): with
two nodes that bring their spools home that is what happens. The cursor of x does not cover e1."""

from tests.client.story import Story, answer, connected, failed, polling, said, streamed


def out_of_turn() -> Story:
    story = polling().ring("next").ring("probe")
    story.tell(answer(["e1"], cursor="c1"))
    story.probe(connected("c0"))
    story.tell(streamed("x"))
    assert (story.state.cursor, *story.state.overlap) == ("x", "e1")
    return story


def polls_again(story: Story) -> Story:
    while story.state.method == "sse":
        story.tell(failed())
        if story.state.method == "sse":
            story.ring("next")
    return story


def test_passing_over_it_moves_the_cursor() -> None:
    story = out_of_turn().tell(streamed("e1"))
    assert story.told == []
    polls_again(story).ring("next")
    assert story.state.link is not None
    # From x the next link would bring e1 once more, and nobody would know it.
    assert story.state.link.cursor == "e1"


def test_polls_that_bring_it_once_more_hand_it_over_once() -> None:
    story = polls_again(out_of_turn())
    story.ring("next").tell(answer(["e1", "e2"]))
    assert story.told == ["e2"]


def test_a_probe_that_fails_does_not_forget_it() -> None:
    story = polls_again(out_of_turn())
    story.ring("next").tell(answer([], cursor="x"))
    story.ring("probe").probe(failed())
    story.ring("next").tell(answer(["e1", "e2"]))
    assert story.told == ["e2"]


def test_a_probe_that_wins_and_breaks_does_not_forget_it() -> None:
    story = polls_again(out_of_turn())
    story.ring("next").tell(answer([], cursor="x"))
    story.ring("probe").probe(connected("x"))
    story.tell(failed())
    story.ring("next").tell(answer(["e1", "e2"]))
    assert story.told == ["e2"]


def test_a_stream_that_another_one_replaced_is_opened_again() -> None:
    story = polls_again(out_of_turn())
    story.ring("probe").probe(connected("x"))
    story.tell(said("disconnecting", {"reason": "replaced", "reconnectAfter": None}))
    assert story.state.phase == "waiting"
