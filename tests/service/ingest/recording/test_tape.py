from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

from service.ingest.queue import Begin, Gone, Item
from service.ingest.recording.reader import open_recording
from service.ingest.source import Picture, Sound
from tests.service.ingest.recording.tapes import write_tape


def fail() -> object:
    raise ValueError("undecodable")


def test_pictures_and_samples_come_back_bit_for_bit(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    sizes = [(48, 64), (90, 160), (1, 3)]
    pictures = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    samples = [torch.randn(320), torch.tensor([1e-30, -0.0, float("inf")]), torch.zeros(0)]
    items: list[Item] = [Begin(True, True, 99.9, is_recorded=True)]
    for number in range(3):
        at_s = 100.1 + number / 3
        items.append(Picture(at_s, at_s + 0.01, lambda n=number: pictures[n]))  # type: ignore[misc]
        items.append(Sound(at_s, at_s + 0.02, lambda n=number: samples[n]))  # type: ignore[misc]
    items.append(Gone())

    recording = open_recording(write_tape(tmp_path / "a.mkv", [(items, 101.0), ([], 101.05)]))

    (read, now_s), (nothing, later_s) = recording.looks()
    assert (now_s, later_s, nothing) == (101.0, 101.05, [])
    assert (read[0], read[-1]) == (items[0], items[-1])
    for got, wanted in zip(read[1:-1], items[1:-1], strict=True):
        assert isinstance(got, Picture | Sound)
        assert isinstance(wanted, Picture | Sound)
        assert (type(got), got.at_s, got.arrived_s) == (type(wanted), wanted.at_s, wanted.arrived_s)
        np.testing.assert_array_equal(np.asarray(got.convert()), np.asarray(wanted.convert()))


def test_what_could_not_be_converted_cannot_be_again(tmp_path: Path) -> None:
    picture = Picture(100.0, 100.0, fail)  # type: ignore[arg-type]  # never returns
    sound = Sound(100.0, 100.0, fail)  # type: ignore[arg-type]  # likewise

    recording = open_recording(write_tape(tmp_path / "a.mkv", [([picture, sound], 100.0)]))

    [(items, _)] = recording.looks()
    for item, wanted in zip(items, [picture, sound], strict=True):
        assert replace(item, convert=fail) == wanted  # type: ignore[type-var,call-arg]
        try:
            item.convert()  # type: ignore[union-attr]
        except ValueError:
            continue
        raise AssertionError("converted")


def test_all_that_a_publisher_begins_with_comes_back(tmp_path: Path) -> None:
    """A field that is added to `Begin` and not taped would let a replay cut otherwise."""
    flags = {field.name: True for field in fields(Begin) if field.name != "at_s"}
    begin = Begin(at_s=99.9, **flags)

    path = write_tape(tmp_path / "a.mkv", [([begin], 100.0)])

    [(items, _)] = open_recording(path).looks()
    assert list(items) == [begin]
