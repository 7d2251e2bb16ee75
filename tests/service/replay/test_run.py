"""A session is recorded while it is live; its recording gives all of it again."""

import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.weights import EMBEDDED_MODEL
from service.__main__ import main
from service.clock import steady_clock
from service.ingest.recording.journal import Told
from service.ingest.recording.reader import Recording, open_recording
from service.ingest.recording.report import digest
from service.llm.engine import Finished, Message, Question, Sampling
from service.media.chunk import EncodedChunk, MediaChunk
from service.replay.run import open_stages, report_of
from service.sessions.record import SessionConfig, SessionId
from service.settings import Settings
from tests.eventually import eventually
from tests.local import LocalBackend, local_backend
from tests.media import make_audio, make_video
from tests.service.replay.taping import fetch, play

SESSION = SessionId("s_recorded")
SECONDS = 8


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As a replica has: another number of threads rounds otherwise, which turns ties."""
    torch.set_num_threads(Settings().torch_threads)


@pytest.fixture
async def recording(redis_url: str, tmp_path: Path) -> Recording:
    """Eight seconds, six questions."""
    async with local_backend(redis_url, EMBEDDED_MODEL) as backend:
        await backend.store.create(SESSION, SessionConfig("live"), steady_clock()())
        recording_id = await backend.ingest.record(SESSION, 60.0)
        await play(backend.ingest, SESSION, [*make_video(0, 5, fps=2), *make_audio(0, 5)])
        await eventually(lambda: has_chunks(backend, 3))
        await ask(backend, "what is seen?")
        later = [*make_video(6, 9, fps=2, height=84), *make_audio(6, 9, seed=1)]
        await play(backend.ingest, SESSION, later)
        await eventually(lambda: has_chunks(backend, 5))  # its end, too
        await ask(backend, "what is heard?")
        await ask(backend, "what shape was red?", window_s=2.0)
        await ask(backend, "what is seen?", at_s=4.0)
        await ask(backend, "what is seen?", sampling=Sampling(temperature=2.0, seed=5))
        await ask(backend, "what is seen?", sampling=Sampling(temperature=2.0))
        await backend.ingest.end(SESSION, "deleted")
        path = await fetch(backend.ingest, SESSION, recording_id, tmp_path / "session.mkv")
    return open_recording(path)


async def has_chunks(backend: LocalBackend, number: int) -> bool:
    session = await backend.store.get(SESSION)
    return session.num_chunks >= number


async def ask(backend: LocalBackend, text: str, **options: Any) -> str:
    question = Question(secrets.token_hex(4), (Message("user", text),), **options)
    [end] = [
        item async for item in backend.llm.ask(SESSION, question) if isinstance(item, Finished)
    ]
    return end.text


async def test_a_replay_gives_the_same_chunks_and_answers_every_time(
    recording: Recording, redis_url: str
) -> None:
    settings = Settings()
    async with open_stages(settings, redis_url) as around:
        first = await report_of(recording, around, model="m")
        second = await report_of(recording, around, model="m")
    assert first.is_same
    assert second.as_json() == first.as_json()
    assert [chunk.kept_sha256 for chunk in first.chunks] == [
        digest(told.data["kept"]) for told in recording.told
    ]
    *compared, drawn = first.answers
    assert [answer.is_same for answer in compared] == [True] * 5
    assert all(answer.answer for answer in compared[:2])
    assert (drawn.is_same, drawn.answer) == (None, None)


async def test_other_settings_give_something_else_and_say_so(
    recording: Recording, redis_url: str
) -> None:
    full = replace(recording, header=replace(recording.header, config=SessionConfig("full")))
    async with open_stages(Settings(), redis_url) as around:
        report = await report_of(full, around, model="m")

    assert not report.is_same
    assert all("kept" in chunk.differences for chunk in report.chunks)


async def test_chunks_and_questions_that_do_not_come_are_told(
    recording: Recording, redis_url: str
) -> None:
    lost = Told("chunk", {"index": 99})
    late = replace(recording.asked[0], context_end_s=200.0)
    longer = replace(recording, told=[*recording.told, lost], asked=[late])
    async with open_stages(Settings(), redis_url) as around:
        report = await report_of(longer, around, model="m")

    differing = [(chunk.index, chunk.differences) for chunk in report.chunks if chunk.differences]
    assert differing == [(99, ("missing",))]
    assert [answer.answer for answer in report.answers] == [None]


async def test_a_stage_that_fails_is_part_of_the_report(
    recording: Recording, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_stages(Settings(), redis_url) as around:

        async def fail(chunk: MediaChunk) -> EncodedChunk:
            raise RuntimeError("no tower")

        monkeypatch.setattr(around.stages.encoder, "encode", fail)
        report = await report_of(replace(recording, asked=()), around, model="m")

    assert {chunk.failure for chunk in report.chunks} == {"RuntimeError"}


def test_the_command_prints_the_report_and_ends_by_it(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(recording.source)]) == 0

    printed = capsys.readouterr()
    report = json.loads(printed.out.splitlines()[-1])
    assert report["is_same"] is True
    assert report["model"] == {"recorded": "", "replayed": Settings().model_name}
    assert "same" in printed.err


def test_the_command_says_why_a_file_cannot_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mkv").write_text("hello")

    assert main(["replay", str(tmp_path / "text.mkv")]) == 2
    assert main(["replay", str(tmp_path / "nowhere.mkv")]) == 2

    told = capsys.readouterr().err
    assert "no Matroska file" in told
    assert "nowhere.mkv" in told
