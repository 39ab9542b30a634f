import pytest

from tidewire.serve.endpoint import streams_at


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/api/sse"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/api/sse"),
        ("https://example.com/live", "https://example.com/live/api/sse"),
        ("https://example.com/live/api/sse", "https://example.com/live/api/sse"),
        ("https://example.com/api/realtime/sse", "https://example.com/api/realtime/sse"),
    ],
)
def test_a_url_names_the_server_or_its_streams(given: str, found: str) -> None:
    assert streams_at(given) == found
