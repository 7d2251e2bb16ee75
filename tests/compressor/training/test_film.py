from pathlib import Path

import av
import numpy as np

from compressor.training.film import write_mp4
from compressor.training.scenes import Split
from compressor.training.timeline import draw_scene
from compressor.training.visuals import Renderer, pack_frames


def test_the_file_shows_and_plays_the_scene(tmp_path: Path) -> None:
    scene, path = draw_scene(Split.TEST, 4, 4.0), tmp_path / "scene.mp4"

    write_mp4(scene, path, fps=10)

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    times_s = np.arange(40) / 10
    drawn = Renderer().render(pack_frames([scene], [times_s])).permute(0, 2, 3, 1).numpy()
    assert len(frames) == 40
    assert abs(samples / 16_000 - 4.0) < 0.2
    assert np.abs(np.array(frames, dtype=float) - drawn).mean() < 6
