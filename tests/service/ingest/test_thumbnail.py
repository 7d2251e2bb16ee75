import io

import av
import pytest
import torch

from service.ingest.thumbnail import encode_thumbnail


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(224, 224, (160, 160)), (252, 448, (90, 160)), (28, 28, (28, 28)), (28, 1400, (16, 160))],
)
def test_thumbnail_fits_and_keeps_its_shape(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    data = encode_thumbnail(torch.full((3, height, width), 128, dtype=torch.uint8))

    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
    assert (frame.height, frame.width) == expected


def test_thumbnail_shows_the_colours() -> None:
    picture = torch.zeros(3, 112, 112, dtype=torch.uint8)
    picture[0, :, :56], picture[2, :, 56:] = 220, 220

    with av.open(io.BytesIO(encode_thumbnail(picture))) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")

    assert pixels[56, 20].argmax() == 0
    assert pixels[56, 90].argmax() == 2


def test_busy_picture_takes_some_kilobytes() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 16, 28, generator=generator) * 255
    picture = torch.nn.functional.interpolate(coarse, (252, 448), mode="bilinear")[0]

    assert len(encode_thumbnail(picture.to(torch.uint8))) < 10_000
