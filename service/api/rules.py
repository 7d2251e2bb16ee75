"""Watch rules: `/v1/sessions/{session_id}/rules`."""

import asyncio
import secrets
from functools import partial
from typing import Final

from fastapi import APIRouter

from service.access.caller import Scope
from service.api import schemas
from service.api.authority import needs
from service.api.backend import Backend
from service.clock import Clock
from service.egress import AllowList, check_url, resolve_host
from service.errors import RuleNotFound, SessionEnded
from service.rules.signature import new_secret
from service.sessions.record import Rule, SessionId, SessionStatus

ASKERS = needs(Scope.ASK)
HOSTS_SETTING: Final = "OMNISIFT_RULES__WEBHOOK_HOSTS"


def rule_routes(
    backend: Backend, clock: Clock, *, max_rules: int, webhook_hosts: AllowList
) -> APIRouter:
    router = APIRouter(prefix="/v1/sessions/{session_id}/rules", tags=["rules"])

    @router.post("", status_code=201, openapi_extra=ASKERS)
    async def create(session_id: str, body: schemas.CreateRule) -> schemas.CreatedRule:
        """Watch for a condition: it is asked about with every new chunk."""
        session = await backend.store.get(SessionId(session_id))
        if session.status is SessionStatus.ENDED:
            raise SessionEnded(session_id, reason=session.end_reason)
        if body.webhook_url is not None:
            check = partial(check_url, setting=HOSTS_SETTING)
            await asyncio.to_thread(check, body.webhook_url, webhook_hosts, resolve_host)
        rule = Rule(
            id=f"r_{secrets.token_urlsafe(9)}",
            condition=body.condition,
            threshold=body.threshold,
            cooldown_s=body.cooldown_s,
            min_interval_s=body.min_interval_s,
            created_at_s=clock(),
            webhook_url=body.webhook_url,
            webhook_secret=new_secret() if body.webhook_url is not None else "",
        )
        await backend.quotas.admit_rule(session.key_id)
        await backend.store.add_rule(session.id, rule, max_rules=max_rules)
        secret = rule.webhook_secret or None
        return schemas.CreatedRule(**_fields(rule), webhook_secret=secret)

    @router.get("", openapi_extra=ASKERS)
    async def list_rules(session_id: str) -> schemas.RuleList:
        """The session's rules, oldest first, without their secrets."""
        rules = await backend.store.rules(SessionId(session_id))
        return schemas.RuleList(data=[schemas.Rule(**_fields(rule)) for rule in rules])

    @router.delete("/{rule_id}", status_code=204, openapi_extra=ASKERS)
    async def delete(session_id: str, rule_id: str) -> None:
        """Watch no longer."""
        if not await backend.store.remove_rule(SessionId(session_id), rule_id):
            raise RuleNotFound(rule_id)

    return router


def _fields(rule: Rule) -> dict[str, object]:
    return {name: getattr(rule, name) for name in schemas.Rule.model_fields if name != "object"}
