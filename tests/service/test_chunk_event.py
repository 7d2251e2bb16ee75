import json
from dataclasses import replace

import torch

from service.chunk_event import chunk_data, marks_data
from service.media.chunk import Marks, MediaChunk
from tests.records import make_record

CHUNK = MediaChunk(4, (), torch.zeros(128, 0), skew_s=0.0123456)


def test_a_chunk_event_is_json_and_tells_all_of_the_chunk() -> None:
    data = chunk_data(CHUNK, make_record(4), lag_s=0.25, stages_s={"encode": 0.0123456})

    kept = data.pop("kept")
    assert json.loads(json.dumps(data)) == {
        "index": 4,
        "start_s": 8.0,
        "end_s": 10.0,
        "tokens": {"video": {"in": 6, "kept": 3}, "audio": {"in": 4, "kept": 2}},
        "grid_sizes": [[1, 3], [1, 3]],
        "lag_s": 0.25,
        "stages_s": {"encode": 0.0123},
        "skew_s": 0.0123,
        "gaps": [{"modality": "audio", "start_s": 8.0, "duration_s": 0.5}],
        "is_cut": False,
        "has_thumbnail": False,
    }
    # tokens 0, 2, 4 of the two grids of 3, then 6 and 8: the first and third of the audio
    assert kept == {"video": [[0, 2], [1]], "audio": [0, 2]}


def test_without_video_all_kept_tokens_are_audio() -> None:
    record = replace(make_record(0), grid_sizes=())

    data = chunk_data(replace(CHUNK, skew_s=None), record, lag_s=0.0, stages_s={})

    assert data["kept"] == {"video": [], "audio": [0, 2, 4, 6, 8]}
    assert data["skew_s"] is None


def test_marks_are_told_in_order_of_time() -> None:
    record = replace(
        make_record(4), marks=Marks(cuts_s=(9.0,), onsets_s=(8.04, 9.52), thumbnail=b"x")
    )

    data = chunk_data(CHUNK, record, lag_s=0.0, stages_s={})

    assert (data["is_cut"], data["has_thumbnail"]) == (True, True)
    assert marks_data(record) == [
        ("sound.onset", {"index": 4, "start_s": 8.04}),
        ("scene.cut", {"index": 4, "start_s": 9.0}),
        ("sound.onset", {"index": 4, "start_s": 9.52}),
    ]
