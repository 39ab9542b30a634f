"""Answers as they are sent."""

import json

from tidewire.http.routes.probes import ProbeAnswer
from tidewire.http.routes.streams import GapAnswer


def test_members_have_their_names_of_the_wire() -> None:
    told = {"from": "1-1-a", "to": "1-2-a", "reason": "expired"}
    response = GapAnswer.model_validate(told).response()
    assert json.loads(bytes(response.body)) == told
    assert response.headers["content-type"] == "application/json"


def test_what_was_not_set_is_left_out_where_that_is_asked_for() -> None:
    class Hinting(ProbeAnswer):
        hint: str | None = None

    answer = Hinting(status="ready")
    left_out = answer.response({"cache-control": "no-store"}, exclude_unset=True)
    assert json.loads(bytes(left_out.body)) == {"status": "ready"}
    assert left_out.headers["cache-control"] == "no-store"
    assert json.loads(bytes(answer.response().body)) == {"status": "ready", "hint": None}
