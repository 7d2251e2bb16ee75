"""Tokens of one session: `POST /v1/sessions/{session_id}/tokens`."""

from fastapi import APIRouter

from service.access.caller import Caller, Scope
from service.access.credentials import Credentials
from service.api import schemas
from service.api.authority import CallerOf, needs
from service.api.backend import Backend
from service.clock import Clock
from service.errors import BadRequest, Forbidden
from service.sessions.record import SessionId


def token_routes(
    backend: Backend, credentials: Credentials, clock: Clock, *, max_ttl_s: float
) -> APIRouter:
    router = APIRouter(tags=["sessions"])

    @router.post(
        "/v1/sessions/{session_id}/tokens",
        status_code=201,
        openapi_extra=needs(Scope.PUBLISH, Scope.ASK),
    )
    async def mint(
        session_id: str, caller: CallerOf, body: schemas.CreateToken | None = None
    ) -> schemas.SessionToken:
        """Make a short-lived token that lets its holder into this session only."""
        request = body or schemas.CreateToken()
        scopes = frozenset(map(Scope, request.scopes))
        _check(caller, scopes, request.ttl_s, max_ttl_s)
        record = await backend.store.get(SessionId(session_id))
        expires_at_s = clock() + request.ttl_s
        return schemas.SessionToken(
            token=credentials.mint_token(caller, record.id, scopes, expires_at_s=expires_at_s),
            session_id=record.id,
            scopes=sorted(scopes),
            expires_at_s=expires_at_s,
        )

    return router


def _check(caller: Caller, scopes: frozenset[Scope], ttl_s: float, max_ttl_s: float) -> None:
    if caller.session_id is not None:
        # it could outlive itself for ever
        raise Forbidden("a token cannot make tokens; use the API key")
    missing = [scope for scope in scopes if not caller.has_any([scope])]
    if missing:
        raise Forbidden("a token can have no scope that its key lacks", scopes=missing)
    if ttl_s > max_ttl_s:
        raise BadRequest(f"ttl_s is at most {max_ttl_s:g}", field="ttl_s")
