"""Publishes by GStreamer's webrtcbin; for /usr/bin/python3, which has its bindings.

gstreamer_publisher.py URL SECONDS vp8|h264: a test picture and a tone, for so long.
"""

import sys
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

OFFER_S = 20.0  # far more than it takes
VIDEO = {
    "vp8": "vp8enc deadline=1 keyframe-max-dist=15 ! rtpvp8pay",
    "h264": "openh264enc gop-size=15 ! h264parse ! rtph264pay config-interval=-1",
}
PIPELINE = """
    webrtcbin name=rtc bundle-policy=max-bundle
    videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert
      ! {encode} ! application/x-rtp,media=video,encoding-name={codec},payload=96 ! rtc.
    audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc
      ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! rtc.
"""


class Publisher:
    """Offers once all candidates are known, and hangs up after a while."""

    def __init__(self, url, seconds, codec):
        self._url, self._seconds, self._loop = url, seconds, GLib.MainLoop()
        self._resource = None
        text = PIPELINE.format(encode=VIDEO[codec], codec=codec.upper())
        self._pipeline = Gst.parse_launch(text)
        self._rtc = self._pipeline.get_by_name("rtc")
        self._rtc.connect("on-negotiation-needed", self._negotiate)
        self._rtc.connect("notify::ice-gathering-state", self._gathered)

    def run(self):
        self._pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add(int((OFFER_S + self._seconds) * 1000), self._loop.quit)
        self._loop.run()
        self._pipeline.set_state(Gst.State.NULL)
        if self._resource is None:
            sys.exit("nothing was published")
        delete = urllib.request.Request(self._resource, method="DELETE")
        urllib.request.urlopen(delete, timeout=20).close()

    def _negotiate(self, rtc):
        for number in range(2):
            transceiver = rtc.emit("get-transceiver", number)
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offered))

    def _offered(self, promise):
        reply = promise.get_reply()  # held: the offer is a part of it
        self._rtc.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def _gathered(self, rtc, _):
        if rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self._post)

    def _post(self):
        GLib.timeout_add(int(self._seconds * 1000), self._loop.quit)
        offer = self._rtc.get_property("local-description").sdp.as_text()
        post = urllib.request.Request(
            self._url, offer.encode(), {"Content-Type": "application/sdp"}, method="POST"
        )
        with urllib.request.urlopen(post, timeout=20) as reply:
            self._resource = urllib.parse.urljoin(self._url, reply.headers["Location"])
            _, answer = GstSdp.SDPMessage.new_from_text(reply.read().decode())
        kind = GstWebRTC.WebRTCSDPType.ANSWER
        description = GstWebRTC.WebRTCSessionDescription.new(kind, answer)
        self._rtc.emit("set-remote-description", description, Gst.Promise.new())
        return False


Gst.init(None)
Publisher(sys.argv[1], float(sys.argv[2]), sys.argv[3]).run()
