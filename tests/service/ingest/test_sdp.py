from contextlib import suppress

import pytest
from aiortc import RTCPeerConnection
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest, OfferRejected, Unprocessable
from service.ingest.sdp import (
    MAX_CANDIDATES,
    BitrateHint,
    Candidate,
    Fragment,
    Offer,
    hint_bitrate,
    parse_fragment,
    parse_offer,
)

SESSION = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
TRANSPORT = ["a=ice-ufrag:abcd", "a=ice-pwd:" + "p" * 22, "a=fingerprint:sha-256 AA", "a=setup:act"]
AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "a=mid:0",
    "a=rtcp-mux",
    "a=sendonly",
    "a=rtpmap:111 opus/48000/2",
    *TRANSPORT,
]
VIDEO = [
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "a=mid:1",
    "a=rtcp-mux",
    "a=sendonly",
    "a=rtpmap:96 VP8/90000",
    *TRANSPORT,
]
CANDIDATE = "1 1 udp 2130706431 192.0.2.1 50000 typ host"


def sdp(*parts: list[str]) -> str:
    return "\r\n".join(line for part in parts for line in part) + "\r\n"


def without(part: list[str], prefix: str) -> list[str]:
    return [line for line in part if not line.startswith(prefix)]


def changed(part: list[str], old: str, new: str) -> list[str]:
    assert old in part
    return [new if line == old else line for line in part]


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ((AUDIO, VIDEO), ("audio", "video")),
        ((AUDIO,), ("audio",)),
        ((VIDEO,), ("video",)),
        ((AUDIO, changed(VIDEO, "a=sendonly", "a=sendrecv")), ("audio", "video")),
        ((without(AUDIO, "a=sendonly"),), ("audio",)),
        ((changed(VIDEO, "a=rtpmap:96 VP8/90000", "a=rtpmap:96 h264/90000"),), ("video",)),
    ],
)
def test_an_offer_tells_its_tracks(parts: tuple[list[str], ...], kinds: tuple[str, ...]) -> None:
    text = sdp(SESSION, *parts)

    assert parse_offer(text) == Offer(text, kinds, "abcd")


@pytest.mark.parametrize("parts", [(AUDIO, VIDEO), (VIDEO, AUDIO)])
def test_tracks_are_in_the_order_of_their_bundle(parts: tuple[list[str], ...]) -> None:
    session = changed(SESSION, "a=group:BUNDLE 0 1", "a=group:BUNDLE 1 0")

    assert parse_offer(sdp(session, *parts)).kinds == ("video", "audio")


def test_transport_attributes_may_stand_at_session_level() -> None:
    bare = [line for line in AUDIO if line not in TRANSPORT]

    assert parse_offer(sdp(SESSION, TRANSPORT, bare)).ice_ufrag == "abcd"


async def test_an_offer_of_a_real_peer_is_taken() -> None:
    peer = RTCPeerConnection()
    peer.addTransceiver("audio", direction="sendonly")
    peer.addTransceiver("video", direction="sendonly")

    description = await peer.createOffer()
    await peer.close()

    assert parse_offer(description.sdp).kinds == ("audio", "video")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a session description"),
        ("hello", "not a session description"),
        (sdp(SESSION), "no media section"),
        (sdp(SESSION, ["nonsense"], AUDIO), "malformed line"),
        (sdp(SESSION, ["m=audio 9"]), "malformed line"),
        (sdp(SESSION, without(AUDIO, "a=ice-ufrag")), "no ice-ufrag"),
        (sdp(SESSION, without(AUDIO, "a=ice-pwd")), "no ice-pwd"),
        (sdp(SESSION, without(AUDIO, "a=fingerprint")), "no fingerprint"),
        (sdp(SESSION, changed(AUDIO, TRANSPORT[2], "a=fingerprint:md9 AA")), "known hash"),
        (sdp(SESSION, AUDIO, ["a=candidate:1 1 udp 5 192.0.2.1"]), "malformed candidate"),
        (sdp(SESSION, without(AUDIO, "a=setup")), "no setup"),
        (sdp(SESSION, without(AUDIO, "a=mid")), "no mid"),
        (sdp(SESSION, without(AUDIO, "a=rtcp-mux")), "no rtcp-mux"),
        (sdp(without(SESSION, "a=group"), AUDIO, VIDEO), "not bundled"),
        (sdp(changed(SESSION, "a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), AUDIO, VIDEO), "bundled"),
        (sdp(changed(SESSION, "a=group:BUNDLE 0 1", "a=group:"), AUDIO, VIDEO), "bundled"),
        (
            sdp(changed(SESSION, "a=group:BUNDLE 0 1", "a=group:BUNDLE 0 2"), AUDIO, VIDEO),
            "bundled",
        ),
    ],
)
def test_what_is_not_a_webrtc_offer_is_rejected(text: str, reason: str) -> None:
    with pytest.raises(OfferRejected, match=reason):
        parse_offer(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (sdp(SESSION, AUDIO, changed(AUDIO, "a=mid:0", "a=mid:1")), "at most one"),
        (sdp(SESSION, AUDIO, ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel"]), "application"),
        (sdp(SESSION, changed(AUDIO, "a=sendonly", "a=recvonly")), "audio track must be sendonly"),
        (sdp(SESSION, changed(VIDEO, "a=sendonly", "a=inactive")), "video track must be sendonly"),
        (sdp(SESSION, changed(VIDEO, VIDEO[0], VIDEO[0].replace(" 9 ", " 0 "))), "sendonly"),
        (sdp(SESSION, changed(VIDEO, "a=rtpmap:96 VP8/90000", "a=rtpmap:96 AV1/90000")), "vp8"),
        (sdp(SESSION, without(AUDIO, "a=rtpmap")), "opus"),
    ],
)
def test_an_offer_that_could_be_answered_only_in_part_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Unprocessable, match=reason):
        parse_offer(text)


@given(st.text())
def test_any_text_is_parsed_or_refused_as_a_bad_request(text: str) -> None:
    for read in (parse_offer, parse_fragment):
        for body in (text, f"v=0\r\n{text}", sdp(SESSION, AUDIO) + text):
            with suppress(BadRequest):
                read(body)


def test_a_fragment_gives_its_candidates_with_their_section() -> None:
    text = sdp(
        ["a=ice-ufrag:abcd", "a=ice-pwd:secret", "m=audio 9 RTP/AVP 0", "a=mid:0"],
        [f"a=candidate:{CANDIDATE}", "a=end-of-candidates"],
    )

    assert parse_fragment(text) == Fragment((Candidate(CANDIDATE, "0"),), "abcd", True)


def test_a_fragment_may_hold_only_the_end_of_candidates() -> None:
    assert parse_fragment("a=end-of-candidates") == Fragment((), None, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "a=mid:0",
        "a=candidate:1 1 udp 5 192.0.2.1 50000",
        "a=candidate:1 one udp 5 192.0.2.1 50000 typ host",
        "a=candidate:1 1 udp 5 192.0.2.1 port typ host",
        "a=candidate:1 1 udp 5 192.0.2.1 65536 typ host",
        "\r\n".join([f"a=candidate:{CANDIDATE}"] * (MAX_CANDIDATES + 1)),
    ],
)
def test_a_malformed_fragment_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_fragment(text)


def test_the_bitrate_hint_reaches_every_picture_codec_and_no_other() -> None:
    answer = sdp(
        ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10"],
        ["a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"],
        ["a=rtpmap:98 H264/90000", "a=fmtp:98 packetization-mode=1"],
    )

    hinted = hint_bitrate(answer, BitrateHint(1, 2, 3)).splitlines()

    hint = "x-google-min-bitrate=1;x-google-start-bitrate=2;x-google-max-bitrate=3"
    assert f"a=fmtp:96 {hint}" in hinted
    assert f"a=fmtp:98 packetization-mode=1;{hint}" in hinted
    assert [line for line in hinted if "x-google" not in line] == [
        line for line in answer.splitlines() if not line.startswith("a=fmtp:98")
    ]
