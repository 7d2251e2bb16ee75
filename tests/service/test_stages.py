import inspect

import pytest

from service.compression.worker import CompressorWorker
from service.deployments.remote import RemoteCompressor, RemoteEncoder, RemoteLLM
from service.encoder.worker import EncoderWorker
from service.llm.worker import LLMWorker
from service.stages import CompressorStage, EncoderStage, LLMStage


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [
        (EncoderStage, EncoderWorker),
        (EncoderStage, RemoteEncoder),
        (CompressorStage, CompressorWorker),
        (CompressorStage, RemoteCompressor),
        (LLMStage, LLMWorker),
        (LLMStage, RemoteLLM),
    ],
)
def test_workers_and_their_remote_twins_take_the_same_arguments(
    protocol: type, implementation: type
) -> None:
    for name, method in inspect.getmembers(protocol, inspect.isfunction):
        if not name.startswith("_"):
            given = inspect.signature(getattr(implementation, name))
            assert list(given.parameters) == list(inspect.signature(method).parameters), name
