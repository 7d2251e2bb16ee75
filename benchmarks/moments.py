"""How well cuts and onsets are found: precision and recall on made-up scenes, shipped weights.

    python -m benchmarks.moments [--clips 40]

Scenes are drawn from the test split, 32 s each, half of them with music or clicks; pictures two a
second as ingest has them, tokens through the embedded encoder and the `live` profile. A cut counts
as found within half a second, an onset within 0.2 s. Beside them, what the compressor's own measure
of a cut (the mean change of a grid's tokens) would do at its best threshold. Last line JSON.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.hardware import measure_hardware
from compressor.config import CompressorConfig
from compressor.evaluation.exam import Paper
from compressor.evaluation.examinee import load_examinee, load_layout
from compressor.onsets import MIN_QUIET_S, sound_onsets
from compressor.pipeline import TokenCompressor
from compressor.scores import temporal_redundancy
from compressor.training.batches import BatchConfig, make_batch
from compressor.training.scenes import Scene, Split
from compressor.training.step import Studio
from compressor.training.timeline import draw_scene
from compressor.training.visuals import Renderer, pack_frames
from compressor.weights import EMBEDDED_MODEL
from service.compression.checkpoint import load_selector
from service.media.cuts import CutDetector

LENGTH_S = 32
CUT_TOLERANCE_S = 0.5
ONSET_TOLERANCE_S = 0.2
FIRST_SEED = 91_000_000


@dataclass(slots=True)
class Score:
    """Found, falsely found and missed."""

    found: int = 0
    false: int = 0
    missed: int = 0

    def count(self, said: Sequence[float], true: Sequence[float], tolerance_s: float) -> None:
        """Match what was said with what is true, each once, in order."""
        left = list(said)
        for moment in true:
            match = next((s for s in left if abs(s - moment) <= tolerance_s + 1e-6), None)
            if match is None:
                self.missed += 1
            else:
                left.remove(match)
                self.found += 1
        self.false += len(left)

    def summary(self) -> dict[str, float]:
        """Precision and recall, with the counts behind them."""
        said, true = self.found + self.false, self.found + self.missed
        return {
            "precision": round(self.found / max(said, 1), 4),
            "recall": round(self.found / max(true, 1), 4),
            "true": true,
            "said": said,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line each, and the JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=40)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    result = measure(options.clips)
    for name, score in result.items():
        print(f"{name:>14}: {score}")
    hardware = measure_hardware(torch.device("cpu"), torch.float32).name
    print(json.dumps({"benchmark": "moments", "hardware": hardware, **result}))


@torch.inference_mode()
def measure(num_clips: int) -> dict[str, dict[str, float]]:
    """Score `num_clips` clips."""
    student, layout = load_examinee(EMBEDDED_MODEL), load_layout(EMBEDDED_MODEL)
    selector = load_selector(EMBEDDED_MODEL, "cpu")
    config = CompressorConfig.from_profile(
        "live", hidden_size=selector.v_proj.in_features, selector=selector.config
    )
    compressor = TokenCompressor(config, selector)
    cuts, onsets = Score(), Score()
    changes: list[tuple[float, bool]] = []
    for number in range(num_clips):
        scene = draw_scene(Split.TEST, FIRST_SEED + number, LENGTH_S, noise_share=0.5)
        cuts.count(find_cuts(scene), true_cuts(scene), CUT_TOLERANCE_S)
        batch = make_batch(
            [scene],
            layout,
            np.random.default_rng(number),
            BatchConfig((LENGTH_S,), (1.0,), LENGTH_S),
        )
        tokens = student.encode(*Studio(torch.device("cpu"), scene.seed).shoot(batch))
        empty = torch.zeros(1, 1, 1, dtype=torch.int64)
        paper = Paper(tokens, ((),), empty, empty)
        onsets.count(find_onsets(paper, compressor), true_onsets(scene), ONSET_TOLERANCE_S)
        changes += token_changes(tokens.video[0].flatten(0, 1), scene)
    return {"cuts": cuts.summary(), "onsets": onsets.summary(), "token_cuts": best(changes)}


def true_cuts(scene: Scene) -> list[float]:
    """When backdrops change."""
    return [backdrop.start_s for backdrop in scene.backdrops if backdrop.start_s > 0]


def true_onsets(scene: Scene) -> list[float]:
    """When sounds and words begin."""
    sounds = [sound.start_s for sound in scene.sounds]
    return sorted(sounds + [word.start_s for word in scene.words])


def find_cuts(scene: Scene) -> list[float]:
    """What the detector says of a scene's pictures."""
    times_s = np.arange(LENGTH_S * 2) / 2
    script = pack_frames([scene], [times_s])
    frames = Renderer().render(script, torch.Generator().manual_seed(scene.seed % 2**31))
    detector = CutDetector()
    chunks = enumerate(frames.reshape(-1, 2, 2, *frames.shape[1:]))
    return [cut for index, grids in chunks for cut in detector.see(index, tuple(grids))]


def find_onsets(paper: Paper, compressor: TokenCompressor) -> list[float]:
    """What the scores of one clip's chunks say."""
    found: list[float] = []
    state, heard_until_s = None, -MIN_QUIET_S
    for number in range(paper.num_chunks):
        compressed, state = compressor.compress(paper.chunk(0, number), state)
        more, heard_until_s = sound_onsets(
            compressed, compressor.config.selector.quiet_score, heard_until_s
        )
        found += more
    return found


def token_changes(grids: Tensor, scene: Scene) -> list[tuple[float, bool]]:
    """Mean change of each grid `[G, 64, D]` from the one before, and whether a cut is between."""
    change = (1 - temporal_redundancy(grids[1:].float(), grids[:-1].float())).mean(dim=1)
    # a grid shows the pictures at its second and half a second later
    return [
        (value, any(second - 0.5 < cut <= second + 0.5 for cut in true_cuts(scene)))
        for second, value in enumerate(change.tolist(), start=1)
    ]


def best(changes: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """The threshold with the best F1, and its precision and recall."""
    scores = []
    num_true = sum(is_cut for _, is_cut in changes)
    for threshold, _ in changes:
        said = [is_cut for change, is_cut in changes if change >= threshold]
        scores.append((2 * sum(said) / (len(said) + num_true), threshold, said))
    _, threshold, said = max(scores)
    return {
        "threshold": round(threshold, 4),
        "precision": round(sum(said) / len(said), 4),
        "recall": round(sum(said) / num_true, 4),
        "true": num_true,
    }


if __name__ == "__main__":
    main()
