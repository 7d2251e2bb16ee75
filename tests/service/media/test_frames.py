import dataclasses

import numpy as np
import pytest
import torch

from service.media.frames import AudioFrame, VideoFrame


@pytest.mark.parametrize(
    "frame",
    [VideoFrame(1.5, np.zeros((2, 2, 3), np.uint8)), AudioFrame(0.5, torch.zeros(320))],
    ids=["video", "audio"],
)
def test_frame_cannot_be_changed(frame: VideoFrame | AudioFrame) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.pts_s = 2.0  # type: ignore[misc]  # that is the point
