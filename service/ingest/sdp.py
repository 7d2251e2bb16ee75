"""SDP as a publisher sends it: offers, and the fragments that trickle candidates. Pure.

Reads only what decides whether an offer can be answered; the answer itself is made by the peer.
Knows nothing about HTTP or sockets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from service.errors import BadRequest, OfferRejected, Unprocessable

ACCEPTED_CODECS = {"audio": ("opus",), "video": ("vp8", "h264")}
SENDING = frozenset({"sendonly", "sendrecv"})
DIRECTIONS = SENDING | {"recvonly", "inactive"}
MAX_CANDIDATES = 64  # of one fragment; a client has a handful of addresses
FINGERPRINTS = frozenset({"sha-256", "sha-384", "sha-512"})  # RFC 8122 section 5; what aiortc has
MAX_PORT = 65_535

_RTPMAP = re.compile(r"a=rtpmap:(\d+) (?:VP8|H264)/", re.IGNORECASE)
_FMTP = re.compile(r"a=fmtp:(\d+) ")


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered.

    Attributes:
        sdp: As it came.
        kinds: "audio" and "video", those it has, in the order in which they are bundled: the first
            one's transport carries both.
        ice_ufrag: Names the publisher's ICE session; another one is an ICE restart.
    """

    sdp: str
    kinds: tuple[str, ...]
    ice_ufrag: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the publisher's addresses.

    Attributes:
        value: The `candidate` attribute without its name (RFC 8839, section 5.1).
        mid: The media section it belongs to, None where the fragment names none.
    """

    value: str
    mid: str | None


@dataclass(frozen=True, slots=True)
class Fragment:
    """Candidates sent after the offer (RFC 8840, section 9).

    Attributes:
        ice_ufrag: The ICE session they belong to, None where the fragment names none.
        is_last: No more candidates will come.
    """

    candidates: tuple[Candidate, ...]
    ice_ufrag: str | None
    is_last: bool


@dataclass(frozen=True, slots=True)
class BitrateHint:
    """What a browser's video encoder is told to send, in kilobit per second.

    Our congestion feedback (REMB) lets a browser start at a fraction of the camera's size and take
    tens of seconds to reach it; with the hint it starts there.
    """

    min_kbps: int = 1200
    start_kbps: int = 2500
    max_kbps: int = 4000


@dataclass(frozen=True, slots=True)
class _Section:
    kind: str
    port: str
    attributes: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.attributes)


def parse_offer(sdp: str) -> Offer:
    """Check that an offer can be answered whole.

    At most one audio and one video track, sent by the client, in a codec that we decode, bundled
    over one transport; anything else is refused, since an answer may not accept in part.

    Raises:
        OfferRejected: It is not a WebRTC offer.
        Unprocessable: It is one, and asks for what is not offered here.

    Source: RFC 9725, sections 4.2 and 4.4.
    """
    if not sdp.startswith("v=0"):
        raise OfferRejected("the body is not a session description")
    try:
        session, sections = _parse(sdp)
        for section in sections:
            list(_candidates(section))
    except ValueError as error:
        raise OfferRejected(str(error)) from error
    if not sections:
        raise OfferRejected("no media section")
    _check_kinds([section.kind for section in sections])
    for section in sections:
        _check_media(section)
        _check_transport(section, session)
    ufrag = next(chain.from_iterable(s.values("ice-ufrag") for s in (*sections, session)))
    return Offer(sdp, _bundled(sections, session), ufrag)


def parse_fragment(text: str) -> Fragment:
    """Read a `trickle-ice-sdpfrag` body.

    Raises:
        BadRequest: It is malformed, or names more than `MAX_CANDIDATES`.
    """
    try:
        session, sections = _parse(text)
        parts = (session, *sections)
        candidates = tuple(chain.from_iterable(_candidates(part) for part in parts))
    except ValueError as error:
        raise BadRequest(str(error), field="body") from error
    if len(candidates) > MAX_CANDIDATES:
        raise BadRequest(f"more than {MAX_CANDIDATES} candidates in one fragment", field="body")
    ufrags = list(chain.from_iterable(part.values("ice-ufrag") for part in parts))
    is_last = any(part.has("end-of-candidates") for part in parts)
    if not (candidates or ufrags or is_last):
        raise BadRequest("the body holds no ICE information", field="body")
    return Fragment(candidates, ufrags[0] if ufrags else None, is_last)


def hint_bitrate(sdp: str, hint: BitrateHint) -> str:
    """Add the hint to every video codec of an answer that carries pictures."""
    params = (
        f"x-google-min-bitrate={hint.min_kbps};x-google-start-bitrate={hint.start_kbps}"
        f";x-google-max-bitrate={hint.max_kbps}"
    )
    lines = sdp.splitlines()
    carriers = {found[1] for found in map(_RTPMAP.match, lines) if found}
    described = {found[1] for found in map(_FMTP.match, lines) if found}
    hinted = []
    for line in lines:
        fmtp, rtpmap = _FMTP.match(line), _RTPMAP.match(line)
        hinted.append(f"{line};{params}" if fmtp and fmtp[1] in carriers else line)
        if rtpmap and rtpmap[1] not in described:
            hinted.append(f"a=fmtp:{rtpmap[1]} {params}")
    return "\r\n".join(hinted) + "\r\n"


def _parse(text: str) -> tuple[_Section, list[_Section]]:
    groups: list[list[str]] = [[]]
    for line in text.splitlines():
        if not line:
            continue
        if len(line) < 3 or line[1] != "=":
            raise ValueError(f"malformed line {line[:40]!r}")
        if line.startswith("m="):
            groups.append([])
        groups[-1].append(line)
    return _section("", "", groups[0]), [_media(lines) for lines in groups[1:]]


def _media(lines: list[str]) -> _Section:
    fields = lines[0][2:].split()
    if len(fields) < 4:
        raise ValueError(f"malformed line {lines[0][:40]!r}")
    return _section(fields[0], fields[1], lines)


def _section(kind: str, port: str, lines: list[str]) -> _Section:
    attributes = (line[2:].partition(":") for line in lines if line.startswith("a="))
    return _Section(kind, port, tuple((name, value.strip()) for name, _, value in attributes))


def _check_kinds(kinds: list[str]) -> None:
    for kind in kinds:
        if kind not in ACCEPTED_CODECS:
            raise Unprocessable(f"only audio and video are taken, not {kind!r}", field="sdp")
    if len(set(kinds)) < len(kinds):
        raise Unprocessable("at most one audio and one video track are taken", field="sdp")


def _check_media(section: _Section) -> None:
    direction = next((name for name, _ in section.attributes if name in DIRECTIONS), "sendrecv")
    is_refused = section.port == "0" and not section.has("bundle-only")
    if direction not in SENDING or is_refused:
        raise Unprocessable(f"the {section.kind} track must be sendonly", field="sdp")
    accepted = ACCEPTED_CODECS[section.kind]
    offered = {value.partition(" ")[2].partition("/")[0] for value in section.values("rtpmap")}
    if not any(name.lower() in accepted for name in offered):
        raise Unprocessable(
            f"no {section.kind} codec in common; taken are {', '.join(accepted)}", field="sdp"
        )


def _check_transport(section: _Section, session: _Section) -> None:
    for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
        if not (section.has(name) or session.has(name)):
            raise OfferRejected(f"the {section.kind} section has no {name}")
    fingerprints = (*section.values("fingerprint"), *session.values("fingerprint"))
    if not any(value.partition(" ")[0].lower() in FINGERPRINTS for value in fingerprints):
        raise OfferRejected(f"no fingerprint is of a known hash: {', '.join(sorted(FINGERPRINTS))}")
    for name in ("mid", "rtcp-mux"):
        if not section.has(name):
            raise OfferRejected(f"the {section.kind} section has no {name}")


def _bundled(sections: list[_Section], session: _Section) -> tuple[str, ...]:
    kinds = {section.values("mid")[0]: section.kind for section in sections}
    if len(sections) == 1:
        return tuple(kinds.values())
    for value in session.values("group"):
        semantics, *mids = value.split() or [""]
        if semantics == "BUNDLE" and set(mids) == set(kinds) and len(mids) == len(sections):
            return tuple(kinds[mid] for mid in mids)
    raise OfferRejected("audio and video are not bundled")


def _candidates(section: _Section) -> Iterator[Candidate]:
    mid = next(iter(section.values("mid")), None)
    for value in section.values("candidate"):
        fields = value.split()
        numbers = fields[1:2] + fields[3:4] + fields[5:6]
        is_formed = len(fields) >= 8 and fields[6] == "typ" and all(map(str.isdecimal, numbers))
        if not is_formed or int(fields[5]) > MAX_PORT:
            raise ValueError(f"malformed candidate {value[:60]!r}")
        yield Candidate(value, mid)
