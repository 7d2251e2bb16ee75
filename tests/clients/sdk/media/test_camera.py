import errno
import os
from itertools import islice

import numpy as np
import pytest

from clients.sdk.errors import SourceUnavailable
from clients.sdk.media.camera import Devices, open_camera

# FFmpeg's virtual input device stands in for hardware: same code path, another format name
PICTURES = "testsrc=size=320x240:rate=10:duration=2"
TONE = "sine=frequency=500:sample_rate=16000:duration=2"
VIRTUAL = Devices(PICTURES, TONE, camera_format="lavfi", microphone_format="lavfi")


def test_both_devices_are_on_one_time_line_that_starts_at_their_arrival() -> None:
    ticks = iter([100.0, *(100.5,) * 2])

    with open_camera(VIRTUAL, now=lambda: next(ticks)) as source:
        assert source.video is not None
        assert source.audio is not None
        picture, sounds = source.video.read(), list(islice(iter(source.audio.read, None), 60))

    assert source.is_live
    assert picture is not None
    assert picture.time == pytest.approx(0.5)
    loud = [f.time for f in sounds if f is not None and np.abs(f.to_ndarray()).max() > 1000]
    # 1024 samples at 16 kHz had been recorded when they arrived
    assert loud[0] == pytest.approx(0.5 - 0.064, abs=0.02)


def test_devices_can_be_left_out() -> None:
    pictures_only = Devices(PICTURES, None, camera_format="lavfi")

    with open_camera(pictures_only) as source:
        assert source.audio is None
        assert source.video is not None
        assert source.video.read() is not None


def test_camera_that_is_absent_is_named() -> None:
    with pytest.raises(SourceUnavailable, match="camera '/dev/video99' cannot be opened: No such"):
        open_camera(Devices(camera="/dev/video99"))


def test_microphone_that_is_absent_is_named_and_frees_the_camera() -> None:
    absent = Devices(PICTURES, "no_such=1", camera_format="lavfi", microphone_format="lavfi")

    with pytest.raises(SourceUnavailable, match="microphone 'no_such=1' cannot be opened"):
        open_camera(absent)


def test_machine_without_sound_is_said_to_have_no_microphone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pathlib.Path.glob", lambda *_: iter(()))

    with pytest.raises(SourceUnavailable, match="there is no microphone"):
        open_camera(Devices(PICTURES, camera_format="lavfi"))


def test_unknown_kind_of_device_is_refused() -> None:
    with pytest.raises(SourceUnavailable, match="cannot be opened"):
        open_camera(Devices(camera_format="no_such_format"))


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "sudo usermod -aG video,audio"),
        (errno.EBUSY, "another program uses it"),
        (errno.ENOENT, "plugged in"),
    ],
)
def test_refusal_of_the_system_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    # no test can count on a camera that is there and refuses
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("av.open", refuse)

    with pytest.raises(SourceUnavailable, match=advice):
        open_camera(Devices("/dev/video0", None))
