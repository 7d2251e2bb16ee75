"""Is anybody publishing? What a session's publisher and media say about its status. Pure."""

from dataclasses import dataclass

from service.sessions.record import SessionStatus


@dataclass(frozen=True, slots=True)
class LivenessConfig:
    """How long silence is taken for something else.

    Attributes:
        no_media_s: A session that never had media ends this long after the last offer.
        idle_s: A session without publisher, or with a silent one, ends after this.
        silent_s: A publisher that sends nothing for this long makes the session idle.
        takeover_s: A publisher that sends nothing for this long may be replaced by another: its
            connection may be dead, which takes half a minute to be noticed.
        max_session_s: A session ends this long after it was created, whoever publishes.
    """

    no_media_s: float = 30.0
    idle_s: float = 300.0
    silent_s: float = 10.0
    takeover_s: float = 5.0
    max_session_s: float = 86_400.0


class Liveness:
    """Follows one session; all times are those of one clock, in seconds.

    Args:
        has_had_media: It was live before this began to follow it.
        created_at_s: When the session was created; None for now.
    """

    def __init__(
        self,
        config: LivenessConfig,
        now_s: float,
        *,
        has_had_media: bool = False,
        created_at_s: float | None = None,
    ) -> None:
        self._config = config
        self._created_at_s = now_s if created_at_s is None else created_at_s
        self._has_publisher = False
        self._has_had_media = has_had_media
        self._offered_s = now_s
        self._idle_since_s = now_s  # last sign of media, or of a publisher leaving
        self._media_s: float | None = None  # last media of the present publisher

    def begin(self, now_s: float) -> None:
        """A publisher's offer is answered."""
        self._has_publisher = True
        self._offered_s = now_s
        self._media_s = None

    def media(self, now_s: float) -> None:
        """Media arrived."""
        self._has_had_media = True
        self._media_s = self._idle_since_s = now_s

    def gone(self, now_s: float) -> None:
        """The publisher is gone."""
        self._has_publisher = False
        self._idle_since_s = now_s

    def status(self, now_s: float) -> SessionStatus:
        """Where the session stands while it is open."""
        if not self._has_publisher:
            return SessionStatus.IDLE
        if self._media_s is None:
            return SessionStatus.CONNECTING
        is_silent = now_s - self._media_s > self._config.silent_s
        return SessionStatus.IDLE if is_silent else SessionStatus.LIVE

    def end_reason(self, now_s: float) -> str | None:
        """Why the session must end now; None while it may go on."""
        if now_s - self._created_at_s >= self._config.max_session_s:
            return "time_limit"
        if not self._has_had_media:
            return "no_media" if now_s - self._offered_s >= self._config.no_media_s else None
        return "idle" if now_s - self._idle_since_s >= self._config.idle_s else None

    def may_take_over(self, now_s: float) -> bool:
        """Whether another publisher may come in."""
        last_s = self._offered_s if self._media_s is None else self._media_s
        return not self._has_publisher or now_s - last_s > self._config.takeover_s


__all__ = ["Liveness", "LivenessConfig"]
