"""How an image is best shown to the embedded model: as one grid, or for a whole chunk.

    python -m benchmarks.stills [--questions 100]

Pictures of made-up scenes from the test split, each with one thing of its shape, go through the
embedded encoder, the compressor and the LLM engine; the colour of the thing is asked. The last line
is JSON.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.hardware import measure_hardware
from compressor.config import CompressorConfig
from compressor.pipeline import TokenCompressor
from compressor.training.scenes import COLOURS, FRAME_SIZE_PX, OTHER, SHAPES, Scene, Split, Thing
from compressor.training.timeline import draw_scene
from compressor.training.visuals import Renderer, pack_frames
from compressor.weights import EMBEDDED_MODEL
from service.compression.checkpoint import load_selector
from service.encoder.encoder import OmniEncoder
from service.llm.config import EngineConfig
from service.llm.engine import Finished, Message, Question, Sampling
from service.llm.paged_engine import PagedEngine
from service.media.chunk import MediaChunk
from service.media.chunker import Chunker
from service.media.frames import VideoFrame
from service.media.sampler import SLOT_S
from service.sessions.record import SessionId

FIRST_SEED = 93_000_000
LENGTH_S = 16.0
MARGIN_PX = 14
NUM_PICTURES = {"grid": 1, "chunk": 4}
PROFILES = ("live", "full")
Still = tuple[NDArray[np.uint8], Thing]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line each, and the JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    stills = [still for still, _ in zip(draw_stills(), range(options.questions), strict=False)]
    result = asyncio.run(measure(stills))
    for name, score in result.items():
        print(f"{name:>12}: {score}")
    hardware = measure_hardware(torch.device("cpu"), torch.float32).name
    print(json.dumps({"benchmark": "stills", "hardware": hardware, **result}))


async def measure(stills: Sequence[Still]) -> dict[str, Any]:
    """Right answers and kept tokens, by profile and by how a picture is shown."""
    encoder = OmniEncoder.from_checkpoint(EMBEDDED_MODEL)
    engine = PagedEngine.from_checkpoint(EMBEDDED_MODEL, EngineConfig(num_pages=256))
    result: dict[str, Any] = {"questions": len(stills)}
    try:
        for profile in PROFILES:
            compressor = make_compressor(profile)
            for shown, number in NUM_PICTURES.items():
                num_right = num_kept = 0
                for pixels, thing in stills:
                    tokens = encoder.encode([show(pixels, number)])[0].tokens
                    compressed, _ = compressor.compress(tokens, None)
                    answer = await ask(
                        engine, compressed, f"What color was the {SHAPES[thing.shape]}?"
                    )
                    num_right += answer == COLOURS[thing.colour]
                    num_kept += compressed.counts_kept.video
                result[f"{profile}_{shown}"] = {
                    "right": num_right,
                    "kept_tokens": round(num_kept / len(stills), 1),
                }
    finally:
        await engine.aclose()
    return result


def show(pixels: NDArray[np.uint8], num_pictures: int) -> MediaChunk:
    """The chunk of a picture that is shown so many times, every half second."""
    chunker = Chunker()
    chunker.declare(video=True, audio=False, now_s=0.0)
    for slot in range(num_pictures):
        chunker.add_video(VideoFrame(slot * SLOT_S, pixels), now_s=slot * SLOT_S)
    (chunk,) = chunker.flush()
    return chunk


async def ask(engine: PagedEngine, compressed: Any, question: str) -> str:
    """The answer about one chunk."""
    session_id = SessionId("still")
    await engine.open(session_id, None)
    await engine.append(session_id, compressed)
    asked = Question("q", (Message("user", question),), Sampling(max_tokens=8))
    items = [item async for item in engine.ask(session_id, asked)]
    await engine.close(session_id)
    assert isinstance(items[-1], Finished)
    return items[-1].text.strip().lower()


def make_compressor(profile: str) -> TokenCompressor:
    """Of a profile, with the embedded selector."""
    selector = load_selector(EMBEDDED_MODEL, "cpu")
    size = selector.v_proj.in_features
    config = CompressorConfig.from_profile(profile, hidden_size=size, selector=selector.config)
    return TokenCompressor(config, selector)


def draw_stills() -> Iterator[Still]:
    """Pictures `[H, W, 3]` taken in the middle of a thing's time, and the thing."""
    renderer, number = Renderer(), 0
    while True:
        scene = draw_scene(Split.TEST, FIRST_SEED + number, LENGTH_S)
        number += 1
        for thing in scene.things:
            at_s = (thing.start_s + thing.end_s) / 2
            if not is_clear(scene, thing, at_s):
                continue
            script = pack_frames([scene], [np.array([at_s])])
            generator = torch.Generator().manual_seed(number)
            yield renderer.render(script, generator)[0].permute(1, 2, 0).numpy(), thing


def is_clear(scene: Scene, thing: Thing, at_s: float) -> bool:
    """Whether it is whole in the picture, of a colour with a name, and alone of its shape."""
    centre = thing.centre_px(np.array([at_s]))[0]
    is_inside = bool(((centre > MARGIN_PX) & (centre < FRAME_SIZE_PX - MARGIN_PX)).all())
    shapes = [other.shape for other in scene.things if other.start_s <= at_s <= other.end_s]
    return is_inside and thing.colour != OTHER and shapes.count(thing.shape) == 1


if __name__ == "__main__":
    main()
