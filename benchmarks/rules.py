"""How well watch rules work: recall and false alarms on made-up scenes, shipped weights.

    python -m benchmarks.rules [--clips 10] [--threshold 0.5]

Clips of 32 s from the test split pass through the embedded encoder, the `live` profile and the LLM
engine, chunk by chunk. After each chunk every rule is asked about the last 4 s, as in the service.
A rule is right to say yes where its sound, or its thing, was to be heard or seen in the window; a
window that cuts its word is not counted. Questions have forms that the model was trained on
(sounds, words) or not (things); statements are never trained on. The last line is JSON.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmarks.hardware import measure_hardware
from compressor.config import CompressorConfig
from compressor.evaluation.exam import Paper
from compressor.evaluation.examinee import load_examinee, load_layout
from compressor.pipeline import TokenCompressor
from compressor.training.batches import BatchConfig, make_batch
from compressor.training.scenes import COLOURS, SHAPES, SOUNDS, WORDS, Scene, Split
from compressor.training.speech import word_s
from compressor.training.step import Studio
from compressor.training.timeline import draw_scene
from compressor.weights import EMBEDDED_MODEL
from service.compression.checkpoint import load_selector
from service.llm.config import EngineConfig
from service.llm.engine import Finished
from service.llm.paged_engine import PagedEngine
from service.llm.watch import yes_no_question
from service.rules.judge import judge
from service.sessions.record import Rule, RuleState, SessionId

LENGTH_S = 32
WINDOW_S = 4.0
CHUNK_S = 2.0
FIRST_SEED = 92_000_000
DEFAULT_THRESHOLD = 0.5  # as the API's
Truth = Callable[[Scene, float, float], bool | None]  # None: neither is wrong


@dataclass(slots=True)
class Tally:
    """Probabilities of a kind of rule, where it held and where it did not; and its firings."""

    true: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)
    fired_right: int = 0
    fired_wrong: int = 0

    def add(self, holds: bool | None, probability: float, fires: bool) -> None:
        """Count one window."""
        if holds is None:
            return
        (self.true if holds else self.false).append(probability)
        self.fired_right += fires and holds
        self.fired_wrong += fires and not holds

    def summary(self, threshold: float) -> dict[str, float]:
        """Rates at a threshold."""
        return {
            "recall": round(float(np.mean([p >= threshold for p in self.true])), 3),
            "false_alarms": round(float(np.mean([p >= threshold for p in self.false])), 3),
            "windows_true": len(self.true),
            "windows_false": len(self.false),
            "fired_right": self.fired_right,
            "fired_wrong": self.fired_wrong,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line each, and the JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--threshold", type=float, default=DEFAULT_THRESHOLD)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    result = asyncio.run(measure(options.clips, options.threshold))
    for name, score in result.items():
        print(f"{name:>16}: {score}")
    hardware = measure_hardware(torch.device("cpu"), torch.float32).name
    settings = {"hardware": hardware, "threshold": options.threshold}
    print(json.dumps({"benchmark": "rules", **settings, **result}))


async def measure(num_clips: int, threshold: float) -> dict[str, Any]:
    """Ask about every rule after every chunk of `num_clips` clips."""
    rules = [(kind, _rule(text, threshold), is_true) for kind, text, is_true in CONDITIONS]
    clips = list(draw_clips(num_clips))
    engine = PagedEngine.from_checkpoint(EMBEDDED_MODEL, EngineConfig(num_pages=1024))
    tallies: dict[str, Tally] = {}
    try:
        for number, (scene, paper, compressor) in enumerate(clips):
            session_id = SessionId(f"clip {number}")
            await engine.open(session_id, None)
            state, states = None, dict.fromkeys(range(len(rules)), RuleState())
            for index in range(paper.num_chunks):
                compressed, state = compressor.compress(paper.chunk(0, index), state)
                await engine.append(session_id, compressed)
                end_s = (index + 1) * CHUNK_S
                asked = [ask(engine, session_id, rule) for _, rule, _ in rules]
                for place, probability in enumerate(await asyncio.gather(*asked)):
                    kind, rule, is_true = rules[place]
                    tally = tallies.setdefault(kind, Tally())
                    holds = is_true(scene, end_s - WINDOW_S, end_s)
                    states[place], fires = judge(rule, states[place], probability, end_s)
                    tally.add(holds, probability, fires)
            await engine.close(session_id)
    finally:
        await engine.aclose()
    return {kind: tally.summary(threshold) for kind, tally in tallies.items()}


async def ask(engine: PagedEngine, session_id: SessionId, rule: Rule) -> float:
    """Probability of yes."""
    items = [
        item async for item in engine.ask(session_id, yes_no_question(rule, window_s=WINDOW_S))
    ]
    assert isinstance(items[-1], Finished)
    return items[-1].choices[0]


@torch.inference_mode()
def draw_clips(num_clips: int) -> list[tuple[Scene, Paper, TokenCompressor]]:
    """Scenes with their tokens, and what compresses them."""
    student, layout = load_examinee(EMBEDDED_MODEL), load_layout(EMBEDDED_MODEL)
    selector = load_selector(EMBEDDED_MODEL, "cpu")
    config = CompressorConfig.from_profile(
        "live", hidden_size=selector.v_proj.in_features, selector=selector.config
    )
    shape = BatchConfig((LENGTH_S,), (1.0,), LENGTH_S)
    clips = []
    for number in range(num_clips):
        scene = draw_scene(Split.TEST, FIRST_SEED + number, LENGTH_S, speech_share=1.0)
        batch = make_batch([scene], layout, np.random.default_rng(number), shape)
        tokens = student.encode(*Studio(torch.device("cpu"), scene.seed).shoot(batch))
        none = torch.zeros(1, 1, 1, dtype=torch.int64)
        clips.append((scene, Paper(tokens, ((),), none, none), TokenCompressor(config, selector)))
    return clips


def _heard(kind: int) -> Truth:
    return lambda scene, start_s, end_s: any(
        sound.kind == kind and start_s <= sound.start_s < end_s for sound in scene.sounds
    )


def _said(index: int) -> Truth:
    def is_true(scene: Scene, start_s: float, end_s: float) -> bool | None:
        words = [word for word in scene.words if word.index == index]
        spans = [(word.start_s, word.start_s + word_s(word)) for word in words]
        if any(start_s <= first and last <= end_s for first, last in spans):
            return True
        return None if any(first < end_s and last > start_s for first, last in spans) else False

    return is_true


def _seen(colour: int | None, shape: int) -> Truth:
    return lambda scene, start_s, end_s: any(
        colour in (None, thing.colour)
        and thing.shape == shape
        and thing.start_s < end_s
        and thing.end_s > start_s
        for thing in scene.things
    )


def _rule(condition: str, threshold: float) -> Rule:
    return Rule(condition, condition, threshold, 0.0, 0.0, 0.0)


CONDITIONS: list[tuple[str, str, Truth]] = [
    *(("sound question", f"Did you hear a {n}?", _heard(kind)) for kind, n in enumerate(SOUNDS)),
    *(("sound statement", f"a {n} is heard", _heard(kind)) for kind, n in enumerate(SOUNDS)),
    *(("word question", f"Did you hear the word {n}?", _said(i)) for i, n in enumerate(WORDS)),
    *(
        ("thing question", f"Did the {COLOURS[n]} {name} appear?", _seen(n, n))
        for n, name in enumerate(SHAPES)
    ),
]


if __name__ == "__main__":
    main()
