"""Errors of media that the service fetches or is sent as a file; the rest is in `service.errors`.

ServiceError                 code                  HTTP  retryable
├── MediaUnreadable          media_unreadable       422  no
├── RecordingDiffers         recording_differs      409  no
├── SourceNotFound           source_not_found       404  no
├── SourceDenied             source_denied          502  no
└── Unavailable
    └── SourceUnreachable    source_unreachable     502  yes

No message holds a URL's user, password, path or query.
"""

from collections.abc import Mapping

from service.errors import ServiceError, Unavailable


class MediaUnreadable(ServiceError):
    """What was given holds nothing that can be decoded, or too much."""

    code = "media_unreadable"
    http_status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(f"the media cannot be used: {reason}")


class RecordingDiffers(ServiceError):
    """A recording that another version or another model made."""

    code = "recording_differs"
    http_status = 409

    def __init__(self, differences: Mapping[str, tuple[str, str]]) -> None:
        told = [
            f"{name} {then or 'unknown'} (here {now or 'unknown'})"
            for name, (then, now) in differences.items()
        ]
        super().__init__(
            f"the recording was made with {' and '.join(told)}, so it may come out otherwise; "
            "with anyway=true it is replayed nevertheless",
            differences={
                name: {"recorded": then, "here": now} for name, (then, now) in differences.items()
            },
        )


class SourceNotFound(ServiceError):
    """The session has no such source."""

    code = "source_not_found"
    http_status = 404

    def __init__(self, source_id: str) -> None:
        super().__init__(f"no source {source_id!r}", source_id=source_id)


class SourceDenied(ServiceError):
    """The source answers, and does not give its media; asking again would change nothing."""

    code = "source_denied"
    http_status = 502

    def __init__(self, reason: str) -> None:
        super().__init__(f"the source refuses: {reason}")


class SourceUnreachable(Unavailable):
    """The source cannot be reached, or was lost."""

    code = "source_unreachable"
    http_status = 502

    def __init__(self, reason: str) -> None:
        super().__init__(f"the source cannot be reached: {reason}")
