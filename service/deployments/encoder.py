"""Ray adapter of the encoder: stateless, any replica takes any chunk."""

from service.deployments.answers import answer
from service.deployments.replica import Replica
from service.encoder.encoder import OmniEncoder
from service.encoder.worker import EncoderWorker
from service.errors import ServiceError
from service.media.chunk import EncodedChunk, MediaChunk
from service.settings import Settings
from service.tracing import Carrier, SpanKind


class EncoderDeployment:
    """One encoder replica."""

    def __init__(self, settings: Settings) -> None:
        self._replica = Replica(settings)
        encoder = OmniEncoder.from_checkpoint(
            settings.model, dtype=settings.torch_dtype, device=settings.device
        )
        encoder.warm_up()
        self._worker = EncoderWorker(
            encoder,
            self._replica.metrics,
            max_batch_chunks=settings.encoder.max_batch_chunks,
            max_wait_s=settings.encoder.max_wait_ms / 1000,
        )

    async def encode(
        self, chunk: MediaChunk, *, parent: Carrier | None = None
    ) -> EncodedChunk | ServiceError:
        with self._replica.tracing.span("Encoder.encode", parent=parent, kind=SpanKind.SERVER):
            return await answer(self._worker.encode(chunk))

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {
            "waiting_chunks": self._worker.num_pending,
            "wait_s": self._worker.wait_s,
            "busy": self._replica.busy_ratio(),
        }

    async def exposition(self) -> tuple[str, str, bytes]:
        return self._replica.exposition()
