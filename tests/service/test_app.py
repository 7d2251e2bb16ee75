import pytest
import ray

from service.app import build_app, running
from service.settings import LLMSettings, Settings


def test_application_is_the_http_deployment() -> None:
    app = build_app(Settings(redis_url="redis://127.0.0.1:1/0", llm=LLMSettings(replicas=3)))

    assert app._bound_deployment.name == "Api"
    handles = app._bound_deployment.init_kwargs
    assert set(handles) == {"Encoder", "Compressor", "LLM", "Ingest"}
    assert handles["LLM"]._bound_deployment.num_replicas == 3


def test_missing_model_is_told_before_anything_starts() -> None:
    was_running = ray.is_initialized()  # other tests may have started a cluster

    with pytest.raises(FileNotFoundError, match="/nowhere"), running(Settings(model="/nowhere")):
        pytest.fail("started")

    assert ray.is_initialized() == was_running
