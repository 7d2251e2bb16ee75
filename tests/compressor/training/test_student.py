import torch
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from compressor.omni.geometry import Geometry, thinker_config
from compressor.training.batches import TAIL_TOKENS, Batch
from compressor.training.student import Student, keep_all, place


@torch.no_grad()
def test_answers_equal_those_of_the_stock_thinker(
    student: Student, batch: Batch, media: tuple[torch.Tensor, torch.Tensor], header: torch.Tensor
) -> None:
    config = thinker_config(student.geometry)
    stock = Qwen2_5OmniThinkerForConditionalGeneration._from_config(
        config, attn_implementation="sdpa"
    ).eval()
    for part in ("audio_tower", "visual", "language_model"):
        ours = student.thinker.model if part == "language_model" else getattr(student.thinker, part)
        getattr(stock.model, part).load_state_dict(ours.state_dict())
    stock.lm_head.load_state_dict(student.thinker.lm_head.state_dict())
    patches, mel = media
    tails = torch.from_numpy(batch.tails)

    places = place(2, len(header), TAIL_TOKENS, torch.zeros(2, dtype=torch.int64))
    found, _ = student.answer(keep_all(student.encode(patches, mel)), header, tails, places)

    media_ids = [config.video_token_id] * 128 + [config.audio_token_id] * 50
    for number in (0, 7):
        ids = torch.cat([header, torch.tensor(media_ids * 2)]).expand(2, -1)
        ids = torch.cat([ids, tails[:, number]], dim=1)
        expected = stock(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            input_features=mel,
            feature_attention_mask=torch.ones(2, 400, dtype=torch.int64),
            pixel_values_videos=patches.flatten(0, 1),
            video_grid_thw=torch.tensor([[4, 16, 16]] * 2),
            use_audio_in_video=True,
            video_second_per_grid=torch.tensor([1.0, 1.0]),
        ).logits[:, -TAIL_TOKENS:]
        torch.testing.assert_close(found[:, number], expected, atol=1e-4, rtol=1e-3)


def test_two_students_meet_half_way(geometry: Geometry) -> None:
    one, other = Student(geometry, 1), Student(geometry, 2)
    before = {name: tensor.clone() for name, tensor in one.state_dict().items()}

    one.average_with(other)

    for name, found in one.state_dict().items():
        expected = before[name]
        if not name.startswith(("heads.", "binding.")):
            expected = (expected + other.state_dict()[name]) / 2
        torch.testing.assert_close(found, expected)
    assert not torch.equal(one.thinker.lm_head.weight, before["thinker.lm_head.weight"])


def test_equal_seeds_give_equal_weights(student: Student) -> None:
    twin, other = Student(student.geometry, seed=3), Student(student.geometry, seed=4)

    own = student.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in twin.state_dict().items())
    assert not all(torch.equal(own[name], tensor) for name, tensor in other.state_dict().items())


def test_late_streams_have_the_same_distances_among_media_and_question() -> None:
    places = place(2, 6, 5, torch.tensor([0, 700]))

    assert torch.equal(places.media[:, 1] - places.media[:, 0], torch.full((3, 356), 700))
    assert torch.equal(places.tail[:, 1] - places.tail[:, 0], torch.full((3, 5), 700))
    assert torch.equal(places.header[:, 0], places.header[:, 1])
