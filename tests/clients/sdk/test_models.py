import json
from dataclasses import fields
from typing import Any

import pytest
from pydantic import BaseModel

from clients.sdk import models
from clients.sdk.codec import decode, encode
from clients.sdk.models import ModalityTokens, Tokens
from service.api import schemas
from tests.clients.fake_service import FakeService


def session_json(**change: object) -> dict[str, object]:
    fake = FakeService()
    feed = fake.create(metadata={"place": "roof"})
    fake.add_chunk(feed)
    return {**json.loads(feed.record.model_dump_json(by_alias=True)), **change}


def test_session_is_read_whole() -> None:
    session = decode(models.Session, session_json())

    assert session.id == "s0"
    assert session.tokens == Tokens(ModalityTokens(96, 24), ModalityTokens(50, 25))
    assert session.metadata == {"place": "roof"}
    assert session.links["whip"] == "/v1/sessions/s0/whip"
    assert session.is_answerable


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, True), ({"chunks": 0}, False), ({"status": "ended"}, False), ({"status": "idle"}, True)],
)
def test_session_is_answerable_while_open_and_not_empty(
    change: dict[str, object], expected: bool
) -> None:
    assert decode(models.Session, session_json(**change)).is_answerable is expected


def test_status_of_a_newer_service_is_passed_on() -> None:
    assert decode(models.Session, session_json(status="paused")).status == "paused"


def test_tokens_add_up_and_give_the_ratio_kept() -> None:
    tokens = Tokens(ModalityTokens(100, 20), ModalityTokens(50, 25))

    assert (tokens + tokens).total == ModalityTokens(300, 90)
    assert tokens.keep_ratio == pytest.approx(0.3)
    assert Tokens.zero().keep_ratio is None


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (models.Session, schemas.Session),
        (models.Answer, schemas.Answer),
        (models.Usage, schemas.Usage),
        (models.Turn, schemas.TurnItem),
        (models.Timeline, schemas.Timeline),
        (models.TimelineChunk, schemas.TimelineChunk),
        (models.TimelineQuestion, schemas.TimelineQuestion),
        (models.HeldTokens, schemas.HeldTokens),
        (models.Span, schemas.Span),
        (models.Rule, schemas.CreatedRule),
        (models.Gap, schemas.GapItem),
        (models.Tokens, schemas.Tokens),
        (models.ModalityTokens, schemas.ModalityTokens),
    ],
)
def test_model_has_the_fields_of_the_schema(model: Any, schema: type[BaseModel]) -> None:
    theirs = {field.serialization_alias or name for name, field in schema.model_fields.items()}
    ours = {field.metadata.get("json", field.name) for field in fields(model)}

    assert ours == theirs - {"object"}


def test_answer_survives_the_round_trip() -> None:
    usage = models.Usage(9, 3, 12, Tokens.zero())
    answer = models.Answer("q", "s", "what ?", "red", "stop", 0.0, 8.0, None, 0.5, usage)

    assert decode(models.Answer, json.loads(json.dumps(encode(answer)))) == answer
