"""Which frames of a video can be decoded: after a loss, none before the next keyframe.

aiortc 1.16 waits for a lost packet until its buffer of 512 is full, which takes seconds, and then
hands over frames whose references are missing: pictures that never were. Knows nothing about peers.
"""

import re
from collections.abc import Callable
from typing import Any

VIDEO_CLOCK_HZ = 90_000  # RFC 6184, section 8.2.1; RFC 7741, section 6.1
LOST_AFTER_S = 1.0  # of the stream; what is asked for again comes within a round trip
MAX_WITHHELD = 300  # frames; some encoders never send a whole keyframe
ASK_EVERY = 15  # withheld frames, for the request may be lost as well
TIMESTAMPS, SEQUENCE_NUMBERS = 1 << 32, 1 << 16  # RFC 3550, section 5.1

_NAL_TYPE = re.compile(rb"\x00\x00\x01(.)", re.S)  # ITU-T H.264, annex B
_NAL_START = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
_VP8_START = b"\x9d\x01\x2a"  # RFC 6386, section 9.1: at byte 3 of a keyframe


def is_keyframe(data: bytes) -> bool:
    """Whether a frame, VP8 or H.264 with start codes, needs no other and has its beginning."""
    if data.startswith(_NAL_START):
        return any(head[0] & 0x1F == 5 for head in _NAL_TYPE.findall(data))
    return data[3:6] == _VP8_START and data[0] & 1 == 0


class DecodableFrames:
    """Stands where a video receiver has its jitter buffer, and withholds what cannot be decoded.

    A packet counts as lost once what follows it goes on for `LOST_AFTER_S`.
    """

    def __init__(self, buffer: Any, on_withheld: Callable[[], None]) -> None:
        """Prepare.

        Args:
            buffer: aiortc's `JitterBuffer` of a video.
            on_withheld: Told of each frame.
        """
        self._buffer = buffer
        self._on_withheld = on_withheld
        self._is_waiting = False
        self._num_withheld = 0

    def add(self, packet: Any) -> tuple[bool, Any]:
        """Take an `RtpPacket`; whether to ask for a keyframe, and the next frame or None."""
        is_cut, frame = self._buffer.add(packet)
        if frame is None and (place := self._place_of_loss(packet)) is not None:
            self._buffer.remove(place)
            is_cut, frame = True, self._next(packet)
        if is_cut:
            self._is_waiting, self._num_withheld = True, 0
        must_ask = is_cut
        while frame is not None and self._is_withheld(frame):
            must_ask = must_ask or self._num_withheld % ASK_EVERY == 0
            frame = self._next(packet)
        return must_ask, frame

    def _is_withheld(self, frame: Any) -> bool:
        if self._is_waiting:
            self._is_waiting = not is_keyframe(frame.data) and self._num_withheld < MAX_WITHHELD
        if self._is_waiting:
            self._num_withheld += 1
            self._on_withheld()
        return self._is_waiting

    def _place_of_loss(self, newest: Any) -> int | None:
        """Place of the first packet behind one that is lost; None where none is."""
        is_missing = False
        num_places = (newest.sequence_number - self._buffer._origin) % SEQUENCE_NUMBERS + 1
        # one from before the buffer's beginning counts as far behind its end
        for place in range(num_places if num_places <= self._buffer.capacity else 0):
            packet = self._packet(place)
            if packet is not None and is_missing:
                age = (newest.timestamp - packet.timestamp) % TIMESTAMPS
                return place if LOST_AFTER_S * VIDEO_CLOCK_HZ < age < TIMESTAMPS / 2 else None
            is_missing = is_missing or packet is None
        return None

    def _packet(self, place: int) -> Any:
        return self._buffer._packets[(self._buffer._origin + place) % self._buffer.capacity]

    def _next(self, packet: Any) -> Any:
        return self._buffer._remove_frame(packet.sequence_number)


def withhold_broken(receiver: Any, on_withheld: Callable[[], None]) -> None:
    """Keep frames without their references from a receiver's decoder.

    Args:
        receiver: An `RTCRtpReceiver` of a video that has not started.
        on_withheld: Told of each.
    """
    # NOTE: aiortc offers no other place between the packets and the frames
    buffer = receiver._RTCRtpReceiver__jitter_buffer
    receiver._RTCRtpReceiver__jitter_buffer = DecodableFrames(buffer, on_withheld)


__all__ = ["DecodableFrames", "is_keyframe", "withhold_broken"]
