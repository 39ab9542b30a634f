"""What a test says of published events, and what it is told when that is not so."""

import pytest

from tidewire import Event, Identity, dashboard_update, notification, report_update
from tidewire.pytest.events import Published


@pytest.fixture
def some() -> Published:
    return Published(
        [
            notification("Hello", "World", users=["alice", "bob"]),
            report_update({"report": 7}, roles=["EDITOR"], users=["alice"]),
            dashboard_update({"n": 1}),
            Event("price", 9.5, metadata={"topics": ["prices"]}),
        ]
    )


def test_it_is_a_sequence_of_events(some: Published) -> None:
    assert some.types == ["notification", "reportUpdate", "dashboardUpdate", "price"]
    assert some[0].data["title"] == "Hello"
    assert some[-1:] == [Event("price", 9.5, metadata={"topics": ["prices"]})]
    assert some.of("price") == some.to_topics("prices")
    assert some.of("price") != []
    assert not some.of("other")


def test_choices_are_by_type_and_by_whom_the_targets_name(some: Published) -> None:
    assert some.to("alice").types == ["notification", "reportUpdate"]
    assert some.to("alice", "bob").types == ["notification"]
    assert some.to_roles("EDITOR").types == ["reportUpdate"]
    assert some.to_topics("prices").types == ["price"]
    assert some.to_everyone().types == ["dashboardUpdate"]
    assert some.to("alice").of("reportUpdate").types == ["reportUpdate"]


def test_whom_it_would_reach_is_answered_by_the_rule_of_delivery(some: Published) -> None:
    everyone = ["dashboardUpdate"]
    assert some.would_reach("carol").types == everyone
    assert some.would_reach("bob").types == ["notification", *everyone]
    editor = Identity("carol", roles=frozenset({"EDITOR"}), topics=frozenset({"prices"}))
    assert some.would_reach(editor).types == ["reportUpdate", *everyone, "price"]


def test_one_and_none_pass_where_that_is_so(some: Published) -> None:
    assert some.one("notification", to="alice").data["message"] == "World"
    assert some.to_roles("EDITOR").one() is some[1]
    some.none("systemAlert")
    some.none(to="carol")
    some.would_reach("carol").none("notification")
    some.clear()
    some.none()


def test_a_choice_has_what_is_published_later(some: Published) -> None:
    of_carol = some.to("carol")
    of_carol.none()
    some.events.append(notification("Hello", "Carol", users=["carol"]))
    assert of_carol.one().data["message"] == "Carol"


def told(caught: pytest.ExceptionInfo[AssertionError]) -> list[str]:
    return str(caught.value).splitlines()


def test_a_failure_says_what_was_published_and_to_whom(some: Published) -> None:
    with pytest.raises(AssertionError) as caught:
        some.one("notification", to="carol")
    assert told(caught) == [
        "Expected one event of type 'notification' to user carol; there are none.",
        "4 events published, * = chosen:",
        '    notification to users alice, bob: {"title": "Hello", "message": "World", '
        '"type": "info"}',
        '    reportUpdate to user alice, to role EDITOR: {"report": 7}',
        '    dashboardUpdate to everyone: {"n": 1}',
        "    price to topic prices: 9.5",
    ]


def test_a_failure_marks_what_was_chosen(some: Published) -> None:
    editor = Identity("alice", roles=frozenset({"EDITOR"}), topics=frozenset({"prices"}))
    with pytest.raises(AssertionError) as caught:
        some.would_reach(editor).none()
    assert told(caught)[0] == (
        "Expected no event that would reach 'alice' with roles EDITOR and topics prices; "
        "there are 4."
    )
    assert all(line.startswith("  * ") for line in told(caught)[2:])
    with pytest.raises(AssertionError, match="Expected one event; there are 4"):
        some.one()


def test_a_failure_without_any_event_says_so() -> None:
    with pytest.raises(AssertionError) as caught:
        Published([]).one()
    assert told(caught) == ["Expected one event; there are none.", "Nothing was published."]


def test_a_failure_stays_short() -> None:
    many = Published([Event("blob", "x" * 1000) for _ in range(500)])
    with pytest.raises(AssertionError) as caught:
        many.one()
    assert len(str(caught.value)) < 3000


def test_it_is_shown_by_what_it_chooses(some: Published) -> None:
    assert repr(some) == "<4 events>"
    assert repr(some.of("price").to("alice")) == "<0 events of type 'price' to user alice>"
