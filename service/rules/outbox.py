"""Delivers webhooks from a small queue, with retries. The only HTTP client of the service itself.

When the queue is full the newest is dropped, and counted: the event feed has it all the same. What
waits is lost with the process.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from service.clock import Clock
from service.egress import AllowList, Resolve, Target, check_url, resolve_host
from service.errors import UrlRefused
from service.metrics import Metrics
from service.rules.signature import HEADER, sign
from service.tasks import TaskSet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """How webhooks are delivered.

    Attributes:
        hosts: Allow-list of hosts; see `service.egress`.
        max_waiting: Webhooks that wait or are under way.
        max_attempts: Before one is given up.
        first_backoff_s: Pause after the first attempt; each next one is twice as long.
        timeout_s: Of one attempt.
    """

    hosts: AllowList
    max_waiting: int = 256
    max_attempts: int = 5
    first_backoff_s: float = 1.0
    timeout_s: float = 5.0


class Outbox:
    """Sends to many receivers; a slow one holds up nobody."""

    def __init__(
        self, config: OutboxConfig, metrics: Metrics, clock: Clock, resolve: Resolve = resolve_host
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._resolve = resolve
        self._tasks = TaskSet()

    def post(self, url: str, secret: str, data: Mapping[str, Any]) -> None:
        """Queue a webhook; never waits."""
        if len(self._tasks) >= self._config.max_waiting:
            self._count("dropped")
            return
        body = json.dumps(data, separators=(",", ":")).encode()
        self._tasks.spawn(self._deliver(url, secret, body), name="webhook")

    async def aclose(self) -> None:
        """Give up what waits."""
        await self._tasks.aclose()

    async def _deliver(self, url: str, secret: str, body: bytes) -> None:
        backoff_s = self._config.first_backoff_s
        for attempt in range(1, self._config.max_attempts + 1):
            try:
                if await self._attempt(url, secret, body):
                    self._count("delivered")
                    return
            except UrlRefused as error:
                logger.warning("webhook refused: %s", error)
                self._count("refused")
                return
            if attempt < self._config.max_attempts:
                await asyncio.sleep(backoff_s)
                backoff_s *= 2
        self._count("failed")

    async def _attempt(self, url: str, secret: str, body: bytes) -> bool:
        """Send once, to an address that was checked just now; whether it was taken."""
        target = await asyncio.to_thread(check_url, url, self._config.hosts, self._resolve)
        headers = {
            "Content-Type": "application/json",
            "Host": _authority(target),
            HEADER: sign(secret, body, now_s=self._clock()),
        }
        pinned = httpx.URL(url).copy_with(host=target.addresses[0])
        try:
            async with (
                httpx.AsyncClient(
                    timeout=self._config.timeout_s, follow_redirects=False, trust_env=False
                ) as http,
                http.stream(
                    "POST",
                    pinned,
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                return response.is_success  # its body stays unread
        except httpx.HTTPError as error:
            logger.info("webhook not delivered: %s", type(error).__name__)
            return False

    def _count(self, outcome: str) -> None:
        self._metrics.webhooks_total.labels(outcome=outcome).inc()


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


__all__ = ["Outbox", "OutboxConfig"]
