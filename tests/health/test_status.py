"""How a node is, by what the last five minutes were like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.health.status import (
    HEALTHY,
    Judgement,
    authentication,
    connections,
    events,
    storage,
    worst,
)

GOOD = {"connected": 5}


@pytest.mark.parametrize(
    ("judged", "status"),
    [
        (connections(GOOD, 0, 0), "healthy"),
        (connections(GOOD, 5, 0), "unhealthy"),
        (connections({"connected": 95}, 100, 0), "degraded"),
        (connections(GOOD, 100, 1), "degraded"),
        (connections({"connected": 15, "stale": 5}, 0, 0), "degraded"),
        (connections({"stale": 5}, 0, 0), "healthy"),
        (authentication(19, 19, 0), "healthy"),
        (authentication(20, 10, 0), "degraded"),
        (authentication(20, 9, 0), "healthy"),
        (authentication(1, 1, 1), "degraded"),
        (storage(accepts=True, degraded=False, reason=""), "healthy"),
        (storage(accepts=True, degraded=True, reason="away"), "degraded"),
        (storage(accepts=False, degraded=True, reason="full"), "unhealthy"),
    ],
)
def test_a_part_is_as_its_figures_say(judged: Judgement, status: str) -> None:
    assert judged.status == status
    assert (judged.reason is None) == (status == "healthy")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "healthy"),
        ({"ready": False}, "unhealthy"),
        ({"canary_age": 11}, "degraded"),
        ({"canary_age": 11, "degraded": True}, "healthy"),
        ({"behind": (1, 1_000_000), "far_behind": (1, 1)}, "healthy"),
        ({"behind": (9, 1_000_000), "far_behind": (9, 9)}, "healthy"),
        ({"behind": (9, 1_000_000), "far_behind": (1, 10)}, "healthy"),
        ({"behind": (9, 1_000_000), "far_behind": (2, 10)}, "degraded"),
        ({"behind": (50, 100), "far_behind": (0, 50)}, "healthy"),
        ({"faults": 1}, "degraded"),
    ],
)
def test_accepting_and_delivering_is_as_its_figures_say(
    change: dict[str, object], status: str
) -> None:
    given: dict[str, object] = {
        "ready": True,
        "degraded": False,
        "canary_age": 1.0,
        "behind": (0, 0),
        "faults": 0,
    }
    assert events(**{**given, **change}).status == status  # type: ignore[arg-type]


judgements = st.lists(
    st.sampled_from(["healthy", "degraded", "unhealthy"]).map(
        lambda status: Judgement(status, None)  # type: ignore[arg-type]
    )
)


@given(judgements)
def test_the_whole_is_as_its_worst_part(parts: list[Judgement]) -> None:
    found = worst(parts)
    assert found in parts or (not parts and found == HEALTHY)
    if found.status == "healthy":
        assert all(part.status == "healthy" for part in parts)
    if any(part.status == "unhealthy" for part in parts):
        assert found.status == "unhealthy"
