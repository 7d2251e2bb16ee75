"""Every error the service raises on purpose; nothing else but its sibling does.

ServiceError                 code                  HTTP  retryable
├── BadRequest               bad_request            400  no
│   ├── OfferRejected        offer_rejected         400  no
│   ├── UnsupportedMediaType unsupported_media_type 415  no
│   ├── UnsupportedEncoding  unsupported_encoding   415  no
│   ├── Unprocessable        unprocessable          422  no
│   ├── PreconditionRequired precondition_required  428  no
│   ├── PreconditionFailed   precondition_failed    412  no
│   ├── BodyTooLarge         body_too_large         413  no
│   └── UrlRefused           url_refused            400  no
├── Unauthorized             unauthorized           401  no
├── Forbidden                forbidden              403  no
├── ModelNotFound            model_not_found        404  no
├── RateLimited              rate_limited           429  yes, after `retry_after_s`
├── SessionError
│   ├── SessionNotFound      session_not_found      404  no
│   ├── SessionEnded         session_ended          409  no
│   ├── AlreadyPublishing    already_publishing     409  no
│   └── NoMediaYet           no_media_yet           409  yes
├── RuleNotFound             rule_not_found         404  no
├── MomentNotHeld            moment_not_held        409  no
├── NoThumbnail              no_thumbnail           404  no
├── AtCapacity               at_capacity            503  yes, after `retry_after_s`
├── NotOwner                 not_owner              503  yes, at `owner` (between replicas only)
├── DeadlineExceeded         deadline_exceeded      504  yes
├── CorruptRecord            corrupt_record         500  no
└── Unavailable              unavailable            503  yes
    ├── StoreUnavailable     store_unavailable      503  yes
    ├── EngineUnavailable    engine_unavailable     503  yes
    ├── ReplicaDied          replica_died           503  yes
    └── AnswerInterrupted    answer_interrupted     503  yes

Those of media sources: `service.source_errors`. Each class takes data and builds its message, so
that every raise site says the same thing. All survive pickling, since they cross process borders.
"""

from collections.abc import Iterable
from typing import Any, ClassVar


class ServiceError(Exception):
    """Base of all; `details` are the fields that a client may act on."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, self.details)

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which a retry makes sense; None where there is no such time."""
        value = self.details.get("retry_after_s")
        return None if value is None else float(value)


def _restore(kind: type[ServiceError], message: str, details: dict[str, Any]) -> ServiceError:
    error = kind.__new__(kind)
    ServiceError.__init__(error, message, **details)
    return error


class BadRequest(ServiceError):
    """The request cannot be served as it is; `field` names the part at fault."""

    code = "bad_request"
    http_status = 400

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field)


class OfferRejected(BadRequest):
    """The SDP offer cannot be answered."""

    code = "offer_rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(f"SDP offer rejected: {reason}", field="sdp")


class UnsupportedMediaType(BadRequest):
    """The body's Content-Type is not the one this route takes."""

    code = "unsupported_media_type"
    http_status = 415

    def __init__(self, *, got: str, expected: str) -> None:
        super().__init__(f"Content-Type must be {expected}, not {got or 'absent'}", field="body")


class UnsupportedEncoding(BadRequest):
    """The body is compressed; this service reads bodies as they are."""

    code = "unsupported_encoding"
    http_status = 415

    def __init__(self, *, got: str) -> None:
        super().__init__(f"Content-Encoding {got!r} is not read: send it plain", field="body")


class Unprocessable(BadRequest):
    """The request is well formed but asks for what is not offered."""

    code = "unprocessable"
    http_status = 422


class PreconditionRequired(BadRequest):
    """A request that must name the state it was made for, and does not."""

    code = "precondition_required"
    http_status = 428

    def __init__(self) -> None:
        super().__init__("If-Match with the ETag of the answer is required", field="If-Match")


class PreconditionFailed(BadRequest):
    """A request made for a state that is no longer there."""

    code = "precondition_failed"
    http_status = 412

    def __init__(self) -> None:
        super().__init__("If-Match names another connection", field="If-Match")


class BodyTooLarge(BadRequest):
    """The body is over the limit of its route."""

    code = "body_too_large"
    http_status = 413

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(f"body is larger than the limit of {limit_bytes} bytes", field="body")


class UrlRefused(BadRequest):
    """A URL that the service may not open for a client; see `service.egress`."""

    code = "url_refused"

    def __init__(self, reason: str, *, host: str | None = None) -> None:
        at = f" at {host!r}" if host else ""
        super().__init__(f"the URL{at} is refused: {reason}", field="url")


class Unauthorized(ServiceError):
    """No valid key or token came with the request; the reason never repeats what came."""

    code = "unauthorized"
    http_status = 401

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}: send `Authorization: Bearer KEY`")


class Forbidden(ServiceError):
    """The key or token is valid, but not for this."""

    code = "forbidden"
    http_status = 403

    def __init__(self, reason: str, *, scopes: Iterable[str] = ()) -> None:
        super().__init__(reason, scopes=sorted(scopes) or None)


class ModelNotFound(ServiceError):
    """A model that this service does not run."""

    code = "model_not_found"
    http_status = 404

    def __init__(self, name: str, *, known: str) -> None:
        super().__init__(f"no model {name!r}; this service runs {known!r}", field="model")


class RateLimited(ServiceError):
    """A limit of this key is reached."""

    code = "rate_limited"
    http_status = 429
    is_retryable = True

    def __init__(self, *, what: str, limit: int, retry_after_s: float) -> None:
        super().__init__(
            f"this key is at its limit of {limit} {what}; try again in {retry_after_s:g} s",
            limit=limit,
            retry_after_s=retry_after_s,
        )


class SessionError(ServiceError):
    """Something about one session."""

    def __init__(self, message: str, *, session_id: str, **details: Any) -> None:
        super().__init__(message, session_id=session_id, **details)


class SessionNotFound(SessionError):
    """No such session, or it is not visible to this caller."""

    code = "session_not_found"
    http_status = 404

    def __init__(self, session_id: str) -> None:
        super().__init__(f"no session {session_id!r}", session_id=session_id)


class SessionEnded(SessionError):
    """The session is over; its record can still be read."""

    code = "session_ended"
    http_status = 409

    def __init__(self, session_id: str, *, reason: str | None) -> None:
        super().__init__(
            f"session {session_id!r} has ended ({reason or 'unknown reason'})",
            session_id=session_id,
            reason=reason,
        )


class AlreadyPublishing(SessionError):
    """A second publisher for a session that has one."""

    code = "already_publishing"
    http_status = 409

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"session {session_id!r} already has a publisher; DELETE its WHIP URL or source first",
            session_id=session_id,
        )


class NoMediaYet(SessionError):
    """A question before the first chunk of the stream."""

    code = "no_media_yet"
    http_status = 409
    is_retryable = True

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"session {session_id!r} has no media yet: the first chunk is in context about two "
            "seconds after the stream starts",
            session_id=session_id,
            retry_after_s=2.0,
        )


class RuleNotFound(ServiceError):
    """The session has no such watch rule."""

    code = "rule_not_found"
    http_status = 404

    def __init__(self, rule_id: str) -> None:
        super().__init__(f"no rule {rule_id!r}", rule_id=rule_id)


class MomentNotHeld(ServiceError):
    """A question about a moment that the context has forgotten, or has not reached."""

    code = "moment_not_held"
    http_status = 409

    def __init__(self, *, at_s: float, start_s: float, end_s: float) -> None:
        super().__init__(
            f"nothing around {at_s:g} s is in context, which reaches from {start_s:g} s to "
            f"{end_s:g} s",
            field="at_s",
            start_s=start_s,
            end_s=end_s,
        )


class NoThumbnail(ServiceError):
    """A chunk that is not in the log, or had no picture."""

    code = "no_thumbnail"
    http_status = 404

    def __init__(self, index: int) -> None:
        super().__init__(f"there is no thumbnail of chunk {index}", index=index)


class AtCapacity(ServiceError):
    """A limit is reached; the request may be sent again after `retry_after_s`."""

    code = "at_capacity"
    http_status = 503
    is_retryable = True

    def __init__(self, *, stage: str, limit: float, retry_after_s: float = 5.0) -> None:
        super().__init__(
            f"{stage} is at its limit of {limit:g}; try again in {retry_after_s:g} s",
            stage=stage,
            limit=limit,
            retry_after_s=retry_after_s,
        )


class NotOwner(ServiceError):
    """Another replica owns this session's stage; between replicas only, never sent to a client."""

    code = "not_owner"
    http_status = 503
    is_retryable = True

    def __init__(self, *, stage: str, owner: str) -> None:
        super().__init__(f"{stage} of this session belongs to replica {owner}", owner=owner)

    @property
    def owner(self) -> str:
        return str(self.details["owner"])


class DeadlineExceeded(ServiceError):
    """A stage took longer than its deadline."""

    code = "deadline_exceeded"
    http_status = 504
    is_retryable = True

    def __init__(self, *, stage: str, limit_s: float) -> None:
        super().__init__(f"{stage} took longer than {limit_s:g} s", stage=stage, limit_s=limit_s)


class CorruptRecord(ServiceError):
    """Stored bytes are not what this version writes."""

    code = "corrupt_record"
    http_status = 500

    def __init__(self, reason: str) -> None:
        super().__init__(f"a stored record cannot be read: {reason}")


class Unavailable(ServiceError):
    """A part of the service cannot be reached."""

    code = "unavailable"
    http_status = 503
    is_retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class StoreUnavailable(Unavailable):
    """Redis cannot be reached, or refused a write."""

    code = "store_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the session store is unavailable: {reason}")


class EngineUnavailable(Unavailable):
    """The LLM replica cannot answer."""

    code = "engine_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the LLM engine is unavailable: {reason}")


class ReplicaDied(Unavailable):
    """The replica that served the call is gone; its sessions move to another."""

    code = "replica_died"

    def __init__(self) -> None:
        super().__init__("a replica died; its sessions move to another", retry_after_s=1.0)


class AnswerInterrupted(Unavailable):
    """The replica that gave an answer is gone after its first token; what was said stays said."""

    code = "answer_interrupted"

    def __init__(self) -> None:
        super().__init__(
            "the replica that was answering died before the answer's end; ask again",
            retry_after_s=1.0,
        )
