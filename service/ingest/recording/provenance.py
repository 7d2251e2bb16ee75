"""Whether this service would have made a recording as it was made. Pure."""

from dataclasses import asdict

from service.errors import Unprocessable
from service.ingest.recording.journal import Header
from service.media.chunker import ChunkerConfig
from service.source_errors import RecordingDiffers


def check_provenance(
    header: Header, chunker: ChunkerConfig, *, service: str, model: str, is_anyway: bool
) -> None:
    """Let pass what can be replayed here.

    Args:
        header: Of the recording.
        chunker: How media becomes chunks here.
        service: Version of this service.
        model: The model that answers here.
        is_anyway: Another version and another model are no obstacle: to see what they change.

    Raises:
        RecordingDiffers: Another version or model made it.
        Unprocessable: Its chunks are cut otherwise than any are here.
    """
    here, recorded = asdict(chunker), asdict(header.chunker)
    settings = [f"{name} {recorded[name]} (here {here[name]})" for name in here]
    unlike = [
        text for name, text in zip(here, settings, strict=True) if here[name] != recorded[name]
    ]
    if unlike:
        # limits of memory are among them, so that no file may choose its own
        reason = f"its chunks were cut with {', '.join(unlike)}; see OMNISIFT_INGEST__MAX_PIXELS"
        raise Unprocessable(f"this file cannot be replayed here: {reason}", field="recording")
    differences = {
        name: (then, now)
        for name, then, now in (
            ("version", header.service, service),
            ("model", header.model, model),
        )
        if then != now
    }
    if differences and not is_anyway:
        raise RecordingDiffers(differences)


__all__ = ["check_provenance"]
