"""Requests made from the OpenAPI document, good and bad, and what is checked of every answer."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckFunction
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

TIMEOUT_S = 20.0
AWAY = (503, 504)  # a part is away or full: no error of the service's


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def as_text(context: schemathesis.SerializationContext, value: object) -> bytes:
    """Bodies that are plain text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@dataclass
class Findings:
    """What came of it.

    Attributes:
        num_requests: Sent.
        statuses: Answers by status.
        failures: One text per kind of failure and operation, with a request that shows it.
    """

    num_requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def num_server_errors(self) -> int:
        """Answers that no request should get."""
        found = self.statuses.items()
        return sum(number for status, number in found if status >= 500 and status not in AWAY)


class Fuzzer:
    """Sends requests to every operation of a running service, well and ill formed.

    Every other request names a session that there is. All of schemathesis' checks: status,
    content type, headers and body are as documented, nothing is a server error, what contradicts
    the schema and who has no key is refused, and so on.

    Args:
        url: Of the service.
        key: An API key with scope `admin`.
    """

    def __init__(self, url: str, key: str) -> None:
        self.findings = Findings()
        self._url = url
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {key}"
        self._schema = schemathesis.openapi.from_url(
            f"{url}/openapi.json", headers=dict(self._http.headers)
        )

    def run(
        self,
        num_per_operation: int,
        *,
        seed: int = 0,
        on_operation: Callable[[str, Findings], object] = lambda label, findings: None,
    ) -> Findings:
        """Send about so many requests to each operation."""
        for result in self._schema.get_all_operations():
            operation = result.ok()
            session_id = self._new_session()
            if operation.path.endswith(("/events", "/recording")):  # of an open one: endless
                self._end_sessions()
            for mode in GenerationMode:
                # what takes nothing cannot be given anything wrong
                with suppress(Unsatisfiable):
                    self._send(operation, mode, session_id, num_per_operation // 2, seed)
            self._end_sessions()
            on_operation(operation.label, self.findings)
        return self.findings

    def close(self) -> None:
        self._http.close()

    def _new_session(self) -> str:
        answer = self._http.post(f"{self._url}/v1/sessions", timeout=TIMEOUT_S)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def _end_sessions(self) -> None:
        """End all that were made, so that no limit of open sessions hides a route."""
        answer = self._http.get(f"{self._url}/v1/sessions?limit=1000", timeout=TIMEOUT_S)
        for session in answer.json()["data"]:
            if session["status"] != "ended":
                self._http.delete(f"{self._url}/v1/sessions/{session['id']}", timeout=TIMEOUT_S)

    def _send(
        self,
        operation: APIOperation,
        mode: GenerationMode,
        session_id: str,
        num_requests: int,
        seed: int,
    ) -> None:
        @seeded(seed)
        @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
        @settings(
            max_examples=max(1, num_requests),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        def send(case: schemathesis.Case, is_known: bool) -> None:
            if is_known and "session_id" in case.path_parameters:
                case.path_parameters["session_id"] = session_id
            self._check(operation, case)

        send()

    def _check(self, operation: APIOperation, case: schemathesis.Case) -> None:
        response = case.call(session=self._http, timeout=TIMEOUT_S)
        self.findings.num_requests += 1
        self.findings.statuses[response.status_code] += 1
        try:
            case.validate_response(response, excluded_checks=_unfit(case))
        except FailureGroup as group:
            for failure in group.exceptions:
                if isinstance(failure, Failure):
                    key = (operation.label, type(failure).__name__)
                    shown = f"{failure}\n{case.as_curl_command()}"
                    self.findings.failures.setdefault(key, shown[:1500])


def _unfit(case: schemathesis.Case) -> list[CheckFunction]:
    unfit: list[CheckFunction] = []
    media_type = case.media_type or ""
    if media_type.startswith(("application/sdp", "application/trickle")):
        unfit.append(positive_data_acceptance)  # what makes an SDP valid, a schema cannot say
    if case.path == "/v1/chat/completions":
        unfit.append(positive_data_acceptance)  # nor what makes a conversation valid
    if case.path.endswith(("/sources", "/media", "/replays", "/rules")):
        unfit.append(positive_data_acceptance)  # nor which URLs are allowed, nor what a film is
    if not media_type:
        unfit.append(negative_data_rejection)  # query parameters that nobody knows are ignored
    return unfit
