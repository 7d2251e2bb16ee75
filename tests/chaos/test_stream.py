import pytest

from chaos.stream import has_media
from clients.sdk.events import ChunkEvent, Tokens
from clients.sdk.models import Gap


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([], True),
        ([Gap("video", 4.0, 2.0)], True),
        ([Gap("video", 4.0, 2.0), Gap("audio", 4.0, 1.5)], True),
        ([Gap("video", 4.0, 2.0), Gap("audio", 4.0, 0.5), Gap("audio", 4.5, 1.5)], False),
    ],
)
def test_a_chunk_of_gaps_alone_shows_no_recovery(gaps: list[Gap], *, expected: bool) -> None:
    event = ChunkEvent(
        type="chunk",
        session_id="s",
        at_s=0.0,
        index=2,
        start_s=4.0,
        end_s=6.0,
        tokens=Tokens.zero(),
        gaps=tuple(gaps),
    )

    assert has_media(event) == expected
