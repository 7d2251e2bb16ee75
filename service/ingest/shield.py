"""Keeps what a network may bring from ending a connection of aiortc. Knows nothing about sessions.

aiortc 1.16 ends a connection at the first datagram that its parsers stumble over. One is enough,
and for an empty one nobody needs a key: anyone who reaches the port can send it. A frame without
content, such as padding alone, is what its decoders take for the end of the track.
"""

import logging
import queue
import struct
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

# what its parsers raise besides ValueError, which it expects: at an empty datagram, and at a header
# extension that is shorter than its kind
STUMBLES = (IndexError, struct.error)


def shield_transport(transport: Any, on_unreadable: Callable[[], None]) -> None:
    """Let a DTLS transport leave out a datagram that it cannot read, and go on.

    Args:
        transport: An `RTCDtlsTransport` that has not started.
        on_unreadable: Told of each.
    """
    receive = transport._recv_next

    async def receive_next() -> None:
        try:
            await receive()
        except STUMBLES as error:
            # each costs whoever sent it a datagram, so this cannot spin
            logger.debug("datagram left out: %r", error)
            on_unreadable()

    transport._recv_next = receive_next


def shield_decoder(receiver: Any, on_empty: Callable[[], None]) -> None:
    """Keep frames without content from a receiver's decoder.

    Args:
        receiver: An `RTCRtpReceiver` that has not started.
        on_empty: Told of each.
    """
    # NOTE: aiortc offers no other place between the jitter buffer and the decoder's thread
    frames: queue.Queue[Any] = receiver._RTCRtpReceiver__decoder_queue
    put = frames.put

    def put_content(item: Any) -> None:
        if item is not None and not item[1].data:
            on_empty()
        else:
            put(item)  # None ends the thread

    frames.put = put_content  # type: ignore[assignment,method-assign]  # on this queue alone


__all__ = ["shield_decoder", "shield_transport"]
