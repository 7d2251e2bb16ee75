"""Where a peer's media ends in tests."""

from collections import Counter

from service.ingest.source import MediaSink, Picture, Sound


class Sink(MediaSink):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.sounds: list[Sound] = []
        self.discarded: Counter[str] = Counter()
        self.results: set[str] = set()

    def push(self, item: Picture | Sound) -> None:
        (self.pictures if isinstance(item, Picture) else self.sounds).append(item)  # type: ignore[arg-type]  # by kind

    def discard(self, modality: str, result: str = "undecodable") -> None:
        self.discarded[modality] += 1
        self.results.add(result)
