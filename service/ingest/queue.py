"""Media that waits to be chunked: bounded, oldest pictures given up first, sound last. Pure."""

from collections import deque
from dataclasses import dataclass

from service.ingest.source import Picture, Sound


@dataclass(frozen=True, slots=True)
class Begin:
    """A publisher begins; what follows is its media.

    Attributes:
        at_s: Unix time.
        is_recorded: Its times are its own: media is neither early nor late.
        is_next: It goes on where the recording before it ended.
    """

    has_video: bool
    has_audio: bool
    at_s: float
    is_recorded: bool = False
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The publisher is gone; what it sent is all."""


Item = Picture | Sound | Begin | Gone


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """Limits of one session.

    Attributes:
        max_pictures: Pictures are large (1.4 MB at 720p) and two a second are used.
        max_items: Pictures and sounds together; 512 sounds of 20 ms are 10 s.
    """

    max_pictures: int = 16
    max_items: int = 512


class MediaQueue:
    """What a session's publisher has sent and nobody has looked at, in order of arrival."""

    def __init__(self, config: QueueConfig | None = None) -> None:
        self._config = config or QueueConfig()
        self._items: deque[Item] = deque()
        self._num_pictures = 0
        self._num_sounds = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def first_media_s(self) -> float | None:
        """Unix time of the oldest picture or sound, None when there is none."""
        media = (item.at_s for item in self._items if isinstance(item, Picture | Sound))
        return next(media, None)

    @property
    def span_s(self) -> float:
        """From the oldest to the newest picture or sound."""
        media = (item.at_s for item in reversed(self._items) if isinstance(item, Picture | Sound))
        return next(media, 0.0) - (self.first_media_s or 0.0)

    @property
    def is_full(self) -> bool:
        """Another picture or sound would cost one."""
        is_full = self._num_pictures + self._num_sounds >= self._config.max_items
        return is_full or self._num_pictures >= self._config.max_pictures

    def push(self, item: Item) -> Picture | Sound | None:
        """Append; returns what had to be given up for it, which is never a marker."""
        self._items.append(item)
        self._num_pictures += isinstance(item, Picture)
        self._num_sounds += isinstance(item, Sound)
        is_full = self._num_pictures + self._num_sounds > self._config.max_items
        if self._num_pictures > self._config.max_pictures or (is_full and self._num_pictures):
            self._num_pictures -= 1
            return self._remove(Picture)
        if is_full:
            self._num_sounds -= 1
            return self._remove(Sound)
        return None

    def take(self) -> list[Item]:
        """All that waits."""
        items = list(self._items)
        self._items.clear()
        self._num_pictures = self._num_sounds = 0
        return items

    def _remove(self, kind: type[Picture] | type[Sound]) -> Picture | Sound:
        for position, item in enumerate(self._items):
            if isinstance(item, kind):
                del self._items[position]
                return item
        raise AssertionError(f"no {kind.__name__} to give up")


__all__ = ["Begin", "Gone", "Item", "MediaQueue", "QueueConfig"]
