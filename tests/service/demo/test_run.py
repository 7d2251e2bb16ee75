from itertools import cycle
from pathlib import Path

import pytest
import torch

from compressor.weights import EMBEDDED_MODEL
from service.api.app import ApiConfig, create_app
from service.demo.clip import make_clip
from service.demo.run import stream_and_ask
from tests.local import local_backend, served


@pytest.mark.webrtc
async def test_embedded_model_answers_every_question_of_the_demo_right(
    redis_url: str, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    said: list[str] = []
    clip = make_clip(tmp_path / "clip.mp4")
    async with (
        local_backend(redis_url, EMBEDDED_MODEL) as backend,
        served(create_app(backend, ApiConfig())) as url,
    ):
        report = await stream_and_ask(url, clip, said.append)

    assert [(asked.answer, asked.route) for asked in report.asked] == [
        (planned.expected, route)
        for planned, route in zip(
            clip.planned, cycle(("query", "query, SSE", "chat completions")), strict=False
        )
    ]
    assert len(report.chunks) >= clip.duration_s // 2 - 1
    assert report.is_ok
    assert any(report.session_id in line for line in said)
