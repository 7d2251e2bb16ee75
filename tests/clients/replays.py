"""What a replay is told of, in the service's own words."""

from service.ingest.recording.journal import Asked
from service.ingest.recording.report import ReplayBegun, ReplayedAnswer, ReplayedChunk
from tests.service.ingest.recording.tapes import HEADER

ASKED = Asked("what ?", "a bell", 4.0, "stop", 2)
SAME = ReplayedChunk(0, {"video": 2, "audio": 1}, "ab12", is_compared=True)
OTHER = ReplayedChunk(1, {"video": 3, "audio": 1}, "cd34", True, ("kept", "tokens"))
FAILED = ReplayedChunk(2, {}, None, False, ("failed",), "no room")
HEARD = ReplayedAnswer(ASKED, "a bell")
MISHEARD = ReplayedAnswer(ASKED, "a drum")
DRAWN = ReplayedAnswer(ASKED, None, "it was drawn", is_compared=False)


def make_begun() -> ReplayBegun:
    return ReplayBegun(HEADER, "seconds", 3, 1)
