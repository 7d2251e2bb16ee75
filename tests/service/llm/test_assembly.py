import pytest

from service.llm.assembly import build_forward
from service.llm.config import EngineConfig
from service.llm.gather_attention import GatherAttention
from tests.service.llm.thinker import build_thinker


def test_pages_are_those_of_the_config_and_a_processor_gathers() -> None:
    thinker = build_thinker()

    forward = build_forward(thinker.model, thinker.head, EngineConfig(num_pages=7, page_tokens=5))

    assert forward.pool.keys.shape[1:3] == (7, 5)
    assert forward._attention is GatherAttention
    assert forward._decodes is None


def test_attention_that_cannot_be_had_is_refused() -> None:
    thinker = build_thinker()

    with pytest.raises(ValueError, match="OMNISIFT_LLM__ATTENTION"):
        build_forward(thinker.model, thinker.head, EngineConfig(attention="triton"))
