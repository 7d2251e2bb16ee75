import pytest

from clients.cli.doctor import machine


def test_what_pyav_lacks_is_named() -> None:
    found = machine.codecs(("libx264",))

    assert (found.level, found.message) == ("fail", "PyAV lacks libx264")


@pytest.mark.parametrize(
    ("cameras", "level", "words"),
    [
        ({}, "warn", "there is none"),
        ({"/dev/video0": True}, "ok", "/dev/video0"),
        ({"/dev/video0": True, "/dev/video1": False}, "warn", "no permission for /dev/video1"),
    ],
)
def test_cameras_are_judged(cameras: dict[str, bool], level: str, words: str) -> None:
    found = machine.cameras(cameras)

    assert found.level == level
    assert words in found.message
    assert bool(found.advice) == (level != "ok")


def test_no_microphone_says_how_to_go_without() -> None:
    assert machine.microphone(has_one=True).level == "ok"
    assert "--no-microphone" in machine.microphone(has_one=False).advice


def test_this_machine_encodes_what_the_service_takes() -> None:
    assert next(machine.check_machine()).level == "ok"
