"""What a caller may do: every route declares its scopes, and one that declares none is refused.

A route declares by `openapi_extra=needs(Scope.ASK)`, so that the API's description says it too. Of
several scopes one is enough, unless `needs_all` names them; `needs()` wants any valid credential;
`OPEN` is for health alone.

A path that holds a `session_id` is answered 404 to callers whose session it is not. A route that
takes the id elsewhere (chat completions: in the body) asks `check_visible` itself.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request

from service.access.caller import Caller, Scope
from service.errors import Forbidden, SessionNotFound
from service.sessions.record import Session, SessionId
from service.sessions.store import SessionStore

logger = logging.getLogger(__name__)

DECLARATION: Final = "security"  # OpenAPI 3.1, "Security Requirement Object": roles of a scheme
SCHEME: Final = "bearer"
OPEN: Final[dict[str, Any]] = {DECLARATION: []}


def needs(*scopes: Scope) -> dict[str, Any]:
    """The declaration of a route that wants one of these scopes, or any credential."""
    return {DECLARATION: [{SCHEME: [scope.value]} for scope in scopes] or [{SCHEME: []}]}


def needs_all(*scopes: Scope) -> dict[str, Any]:
    """The declaration of a route that wants every one of these scopes."""
    return {DECLARATION: [{SCHEME: [scope.value for scope in scopes]}]}


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CallerOf = Annotated[Caller, Depends(_caller)]
"""The caller, as an argument of a route."""


def authorisation(store: SessionStore) -> Callable[[Request], Awaitable[None]]:
    """The dependency of every route that applies what the routes declare.

    Raises, when called:
        Forbidden: The caller lacks the scope, or the route declares none.
        SessionNotFound: The path names a session that is not the caller's.
        StoreUnavailable: Whose session it is cannot be found out.
    """

    async def authorise(request: Request) -> None:
        declared = (request.scope["route"].openapi_extra or {}).get(DECLARATION)
        if declared is None:
            logger.error("route declares no scope", extra={"path": request.url.path})
            raise Forbidden("this route declares no scope, so nobody may use it")
        if not declared:
            return
        caller: Caller = request.state.caller
        ways = [[Scope(name) for name in one[SCHEME]] for one in declared]
        if not any(all(caller.has_any([scope]) for scope in way) for way in ways):
            wanted = " or ".join(sorted(" and ".join(way) for way in ways))
            scopes = {scope for way in ways for scope in way}
            raise Forbidden(f"this needs a key or token with scope {wanted}", scopes=scopes)
        session_id = request.path_params.get("session_id")
        if session_id is not None and not caller.sees_all:
            await _check_path(store, caller, SessionId(session_id))

    return authorise


def check_visible(caller: Caller, record: Session) -> None:
    """Raise `SessionNotFound` where the session is not the caller's to see."""
    if not caller.may_see(record.id, record.key_id):
        raise SessionNotFound(record.id)


async def _check_path(store: SessionStore, caller: Caller, session_id: SessionId) -> None:
    if caller.session_id is None:
        # whose it is never changes, so a record of before will do
        check_visible(caller, await store.recall(session_id))
    elif caller.session_id != session_id:
        raise SessionNotFound(session_id)


class GuardedApi(FastAPI):
    """An application whose description says which credential its routes mean."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        schema["components"]["securitySchemes"] = {
            SCHEME: {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key or a session's token; without keys, nothing is needed.",
            }
        }
        return schema


__all__ = ["OPEN", "CallerOf", "GuardedApi", "authorisation", "check_visible", "needs", "needs_all"]
