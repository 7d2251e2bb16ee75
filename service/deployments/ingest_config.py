"""What the settings say about ingest, as its worker takes it."""

from dataclasses import replace
from importlib.metadata import version

from service.egress import AllowList
from service.ingest.clip import ClipConfig
from service.ingest.config import RECONNECT, IngestConfig, SourcesConfig
from service.ingest.container import ContainerLimits
from service.ingest.liveness import LivenessConfig
from service.ingest.peer import PeerConfig
from service.ingest.recording.recorder import RecordingConfig
from service.ingest.source_policy import SourcePolicy
from service.ingest.uploads import UploadLimits
from service.media.chunker import ChunkerConfig
from service.media_settings import ClipsSettings, SourcesSettings
from service.pipeline import PipelineConfig
from service.settings import Settings


def ingest_config(all_settings: Settings) -> IngestConfig:
    """How a replica ingests, by the settings."""
    settings = all_settings.ingest
    sources = _sources(all_settings.sources, max_frame_pixels=settings.max_frame_pixels)
    clip = _clip(all_settings.clips, sources)
    return IngestConfig(
        has_thumbnails=all_settings.store.thumbnails,
        max_sessions=settings.max_sessions,
        udp_ports=settings.udp_ports,
        liveness=LivenessConfig(
            no_media_s=settings.no_media_s,
            idle_s=settings.idle_s,
            max_session_s=settings.max_session_s,
        ),
        chunker=ChunkerConfig(max_pixels=settings.max_pixels),
        pipeline=PipelineConfig(max_pending_chunks=settings.max_pending_chunks),
        peer=PeerConfig(
            ice_servers=tuple(settings.ice_servers), max_frame_pixels=settings.max_frame_pixels
        ),
        clip=clip,
        sources=sources,
        recording=_recording(all_settings),
    )


def _sources(settings: SourcesSettings, *, max_frame_pixels: int) -> SourcesConfig:
    return SourcesConfig(
        policy=SourcePolicy(
            AllowList.parse(settings.hosts), tuple(settings.schemes), tuple(settings.file_roots)
        ),
        limits=ContainerLimits(
            max_frame_pixels=max_frame_pixels,
            max_duration_s=settings.max_duration_s,
            open_s=settings.timeout_s,
            read_s=settings.timeout_s,
        ),
        uploads=UploadLimits(max_bytes=settings.max_upload_bytes, max_uploads=settings.max_uploads),
        retry=replace(RECONNECT, deadline_s=settings.reconnect_s),
    )


def _recording(all_settings: Settings) -> RecordingConfig:
    settings = all_settings.recording
    return RecordingConfig(
        max_recordings=settings.max_recordings,
        max_s=settings.max_s,
        max_bytes=settings.max_bytes,
        buffer_bytes=settings.buffer_bytes,
        service=version("omnisift-live"),
        model=all_settings.model_name,
    )


def _clip(settings: ClipsSettings, sources: SourcesConfig) -> ClipConfig:
    """Files with questions; those that are fetched are bound like those that are sent."""
    return ClipConfig(
        limits=replace(sources.limits, max_duration_s=settings.max_clip_s, refuses_longer=True),
        policy=sources.policy,
        max_bytes=settings.max_body_bytes * 3 // 4,
        fetch_s=settings.upload_s,
    )


__all__ = ["ingest_config"]
