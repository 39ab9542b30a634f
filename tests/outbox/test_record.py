"""An event in the table is the event that was added."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire import Event, Target, TidewireError
from tidewire.outbox.record import decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.frozensets(st.text("abcäß漢😀", min_size=1, max_size=5), max_size=3)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=4),
    max_leaves=10,
)


@given(
    st.builds(
        Event,
        st.text("abcXYZ-äß漢", min_size=1, max_size=20),
        JSON,
        priority=st.sampled_from(["low", "normal", "high", "critical"]),
        source=st.text("abc é", min_size=1, max_size=9),
        metadata=st.fixed_dictionaries(
            {},
            optional={
                "userId": st.just("alice"),
                "sessionId": st.just("s"),
                "correlationId": st.just("c"),
                "more": JSON,
            },
        ),
        target=st.builds(Target, NAMES, NAMES, NAMES),
    )
)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    text = encode(event)
    back = decode(text)
    assert back == event
    assert back.session_id == event.session_id
    assert back.body == event.body, "a repeat is the same to a byte"
    assert encode(back) == text
    assert "\x00" not in text, "PostgreSQL takes none"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type": 1}',
        '{"type": "ping"}',
        '{"type": "news", "id": "1-1-abcd"}',
        '{"type": "news", "metadata": {"roles": []}}',
        '{"type": "news", "metadata": {"users": ["alice"]}}',
        '{"type": "news", "target": {}}',
        "[" * 100_000,
        json.dumps({"type": "news", "data": "x" * 300_000}),
    ],
    ids=lambda text: str(text[:30]),
)
def test_text_that_is_no_event_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(TidewireError) as caught:
        decode(text)
    assert caught.value.detail.endswith((".", "?"))
