from pathlib import Path

import pytest

from service.egress import AllowList
from service.errors import ServiceError, UrlRefused
from service.ingest.container import ContainerLimits
from service.ingest.origin import (
    FileOrigin,
    HttpOrigin,
    RtspOrigin,
    find_origin,
    reopen_origin,
)
from service.ingest.source_policy import SourcePolicy
from service.source_errors import MediaUnreadable, SourceUnreachable
from tests.clips import write_clip
from tests.free_port import free_port

LIMITS = ContainerLimits(open_s=2.0, read_s=2.0)


def allowing(folder: Path) -> SourcePolicy:
    return SourcePolicy(AllowList.parse(["127.0.0.1"]), file_roots=[folder])


@pytest.mark.parametrize(
    ("url", "kind", "is_live"),
    [
        ("http://u:p@127.0.0.1/clip.mp4?key=s", HttpOrigin, False),
        ("rtsp://u:p@127.0.0.1/clip.mp4?key=s", RtspOrigin, True),
        ("rtsps://u:p@127.0.0.1/clip.mp4?key=s", RtspOrigin, True),
    ],
)
async def test_a_url_is_what_its_scheme_says(
    tmp_path: Path, url: str, kind: type, is_live: bool
) -> None:
    origin = await find_origin(url, allowing(tmp_path), LIMITS)

    assert isinstance(origin, kind)
    assert (origin.url, origin.is_live) == (
        url[: url.index(":")] + "://127.0.0.1/clip.mp4",
        is_live,
    )


async def test_a_file_is_opened_at_once(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", duration_s=1.0)
    (tmp_path / "empty.mp4").touch()

    origin = await find_origin(f"file://{tmp_path}/clip.mp4", allowing(tmp_path), LIMITS)

    assert isinstance(origin, FileOrigin)
    async with origin.connected() as opener:
        container = opener()
    assert container.kinds == ("video", "audio")
    container.close()
    origin.close()  # it has been taken: nothing is left to close
    with pytest.raises(MediaUnreadable):
        await find_origin(f"file://{tmp_path}/empty.mp4", allowing(tmp_path), LIMITS)


async def test_what_is_not_allowed_has_no_origin(tmp_path: Path) -> None:
    for url in ("http://127.0.0.2/", "FILE:///etc/passwd", "hls+http://127.0.0.1/"):
        with pytest.raises(UrlRefused):
            await find_origin(url, allowing(tmp_path), LIMITS)


async def test_a_camera_that_is_away_is_unreachable(tmp_path: Path) -> None:
    url = f"rtsp://127.0.0.1:{free_port()}/live"
    origin = await find_origin(url, allowing(tmp_path), LIMITS)

    with pytest.raises(SourceUnreachable):
        async with origin.connected():
            pass


async def test_what_was_begun_elsewhere_is_opened_again(tmp_path: Path) -> None:
    policy = allowing(tmp_path)
    write_clip(tmp_path / "clip.mp4", duration_s=1.0)

    file = await reopen_origin(f"file://{tmp_path}/clip.mp4", policy, LIMITS)
    async with file.connected() as opener:
        opener().close()
    camera = await reopen_origin("rtsp://u:p@no-such-host.invalid/live?key=s", policy, LIMITS)
    page = await reopen_origin("http://u:p@127.0.0.1/clip.mp4", policy, LIMITS)

    # names are looked up, and judged, when it is played
    assert (type(camera), camera.url) == (RtspOrigin, "rtsp://no-such-host.invalid/live")
    assert (type(page), page.url) == (HttpOrigin, "http://127.0.0.1/clip.mp4")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "send it again"),
        ("file:///etc/passwd", "under none of"),
        ("file://{}/no.mp4", "No such"),
    ],
)
async def test_what_cannot_be_opened_again_says_so_when_it_is_played(
    tmp_path: Path, url: str | None, reason: str
) -> None:
    origin = await reopen_origin(url and url.format(tmp_path), allowing(tmp_path), LIMITS)

    with pytest.raises(ServiceError, match=reason):
        async with origin.connected():
            pass
    origin.close()
