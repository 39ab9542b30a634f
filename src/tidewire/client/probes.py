"""When streams are tried beside the polls. The more they have disappointed, the later the next."""

from typing import Final

from tidewire.client.draft import Draft

PROBE_FIRST: Final = 10_000
PROBE_LAST: Final = 40_000
"""The first probe comes after at most so long, the later ones after up to so long. All in ms."""
FLAP_REST: Final = (60_000, 600_000)
"""After a stream that a probe won did not last: the first time, and from then on."""


def drop_probe(draft: Draft, retry_after: float | None = None) -> None:
    """Gives up the stream that is tried, if one is. Another is tried later, and not before
    ``retry_after``."""
    state = draft.state
    # What is left of an earlier overlap the cursor does not cover.
    if state.probe is not None and state.probe.behind:
        state.overlap = frozenset()
    state.probe = None
    state.probes += 1
    draft.clear("probeOpen")
    draft.after("probe", max(until_probe(draft), retry_after or 0))


def until_probe(draft: Draft) -> int:
    """How long it is until the next, in ms."""
    state = draft.state
    if state.flaps > 0:
        return FLAP_REST[min(state.flaps, len(FLAP_REST)) - 1]
    # Not sooner than half of it: this one waits for a cure, not for its turn.
    limit = min(PROBE_LAST, PROBE_FIRST << min(state.probes, 30))
    return round(limit * (0.5 + draft.random / 2))
