import pytest
import torch
from torch import Tensor
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerTextModel

from compressor.omni.geometry import Geometry, thinker_config
from compressor.training.reader import Reader, Sequence, _Crowd


@pytest.fixture(scope="module")
def model() -> Qwen2_5OmniThinkerTextModel:
    torch.manual_seed(0)
    config = thinker_config(Geometry(hidden_size=64, num_layers=2, num_heads=4, mlp_size=96))
    text = Qwen2_5OmniThinkerTextModel._from_config(
        config.get_text_config(), attn_implementation="sdpa"
    ).eval()
    with torch.no_grad():
        for parameter in text.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1.5 * parameter.shape[1] ** -0.5)
    return text


def sequence(num_clips: int, length: int, start: int) -> Sequence:
    positions = start + torch.randint(0, 40, (3, num_clips, length))
    return Sequence(torch.randn(num_clips, length, 64), positions)


def stock(model: Qwen2_5OmniThinkerTextModel, stream: Sequence, asked: Sequence) -> Tensor:
    """One clip, one question, through transformers."""
    embeddings = torch.cat([stream.embeddings, asked.embeddings], dim=1)
    positions = torch.cat([stream.positions, asked.positions], dim=2)
    hidden: Tensor = model(inputs_embeds=embeddings, position_ids=positions).last_hidden_state
    return hidden[:, stream.embeddings.shape[1] :]


@torch.no_grad()
def test_each_question_reads_as_in_a_forward_of_its_own(model: Qwen2_5OmniThinkerTextModel) -> None:
    torch.manual_seed(1)
    stream, asked = sequence(2, 30, 0), sequence(2, 12, 90)

    found, _ = Reader(model)(stream, asked, 3, torch.ones(2, 30, dtype=torch.bool))

    for number in range(3):
        part = slice(4 * number, 4 * number + 4)
        alone = Sequence(asked.embeddings[:, part], asked.positions[:, :, part])
        torch.testing.assert_close(
            found[:, number], stock(model, stream, alone), atol=2e-5, rtol=1e-4
        )


@torch.no_grad()
def test_tokens_that_do_not_exist_change_nothing(model: Qwen2_5OmniThinkerTextModel) -> None:
    torch.manual_seed(2)
    stream, asked = sequence(1, 20, 0), sequence(1, 5, 90)
    seen = torch.arange(20)[None] < 14
    shorter = Sequence(stream.embeddings[:, :14], stream.positions[:, :, :14])

    found, _ = Reader(model)(stream, asked, 1, seen)

    torch.testing.assert_close(found[:, 0], stock(model, shorter, asked), atol=2e-5, rtol=1e-4)


def test_attention_in_blocks_equals_attention_under_a_mask() -> None:
    torch.manual_seed(3)
    crowd = _Crowd(torch.arange(17).expand(2, -1) < torch.tensor([[17], [11]]), number=7, length=3)
    inputs = [torch.randn(2, 4, size, 8, requires_grad=True) for size in (21, 38, 38)]
    found = []
    for attend in (crowd.attend, crowd.attend_in_blocks):
        out = attend(*inputs)
        found.append([out, *torch.autograd.grad(out.square().sum(), inputs)])

    for masked, blocked in zip(*found, strict=True):
        torch.testing.assert_close(masked, blocked, atol=2e-5, rtol=1e-4)
