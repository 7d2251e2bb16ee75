from ipaddress import ip_address
from pathlib import Path

import pytest

from clients.sdk.media import probe
from clients.sdk.whip import IceServer

pytestmark = pytest.mark.webrtc


def test_missing_encoders_are_named() -> None:
    assert probe.missing_encoders() == ()
    assert probe.missing_encoders(("libopus", "made_up")) == ("made_up",)


def test_cameras_are_listed_in_order_and_only_video_devices(tmp_path: Path) -> None:
    for name in ("video1", "video0", "videos", "null"):
        (tmp_path / name).touch()

    assert probe.cameras(tmp_path) == {
        str(tmp_path / "video0"): True,
        str(tmp_path / "video1"): True,
    }


def test_microphone_is_a_device_that_records(tmp_path: Path) -> None:
    (tmp_path / "pcmC0D0p").touch()
    assert not probe.has_microphone(tmp_path)

    (tmp_path / "pcmC0D0c").touch()
    assert probe.has_microphone(tmp_path)


async def test_own_addresses_are_candidates() -> None:
    assert all(ip_address(address) for address in await probe.candidates())


async def test_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="uri"):
        await probe.ask_server(IceServer("http://h"))
