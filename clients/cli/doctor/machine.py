"""Checks of this machine: what it can encode and record. Touches no network and opens no device."""

from collections.abc import Iterator, Mapping, Sequence

from clients.cli.doctor.finding import Finding


def check_machine() -> Iterator[Finding]:
    """Encoders, cameras and a microphone."""
    try:
        from clients.sdk.media import probe
    except ImportError as exc:
        advice = "pip install aiortc av numpy; asking and watching work without"
        yield Finding("fail", "codecs", f"{exc.name} is not installed", advice)
        return
    yield codecs(probe.missing_encoders())
    yield cameras(probe.cameras())
    yield microphone(has_one=probe.has_microphone())


def codecs(missing: Sequence[str]) -> Finding:
    if missing:
        advice = "install PyAV's own wheel: pip install --force-reinstall --only-binary av av"
        return Finding("fail", "codecs", f"PyAV lacks {', '.join(missing)}", advice)
    return Finding("ok", "codecs", "H.264, VP8 and Opus can be encoded")


def cameras(found: Mapping[str, bool]) -> Finding:
    if not found:
        advice = "connect one, or publish a file or --synthetic"
        return Finding("warn", "camera", "there is none (/dev/video*)", advice)
    denied = [path for path, is_allowed in found.items() if not is_allowed]
    if denied:
        advice = "sudo usermod -aG video $USER, then log in again"
        return Finding("warn", "camera", f"no permission for {', '.join(denied)}", advice)
    return Finding("ok", "camera", ", ".join(found))


def microphone(*, has_one: bool) -> Finding:
    if has_one:
        return Finding("ok", "microphone", "ALSA has one")
    return Finding("warn", "microphone", "there is none", "publish with --no-microphone")


__all__ = ["cameras", "check_machine", "codecs", "microphone"]
