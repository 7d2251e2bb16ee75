"""What each overlay runs: settings, nodes, an image. The settings are the service's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from service.settings import (
    ApiSettings,
    CompressorSettings,
    EncoderSettings,
    IngestSettings,
    LLMSettings,
    Settings,
)

IMAGE = "ghcr.io/omnisift/omnisift-live"
VERSION = "0.1.0"
PORT = 8000


class PlannedSettings(Settings):
    """Settings as they are written here, whatever the environment says."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Resources:
    """Of a pod; requested and limited alike, so that nothing is taken from others."""

    cpu: str
    memory: str
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Worker pods of one kind, one Ray node each.

    Attributes:
        name: Of the group, and of the Ray resource that `node_group` settings name.
        resources: Of a pod.
        min_nodes: Always there.
        max_nodes: As many as Ray's autoscaler may start.
        uses_host_network: Media ports are the node's own; one pod per node.
    """

    name: str
    resources: Resources
    min_nodes: int = 1
    max_nodes: int = 1
    uses_host_network: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One overlay.

    Attributes:
        name: Of the overlay.
        image: With its tag.
        settings: Become environment variables of every pod; secrets come from Secrets.
        head: Resources of the head, which runs no replicas.
        groups: Worker pods.
        models_claim: PersistentVolumeClaim that keeps downloaded weights; None: they are in the
            image.
    """

    name: str
    image: str
    settings: Settings
    head: Resources
    groups: tuple[NodeGroup, ...]
    models_claim: str | None = None

    @property
    def grace_s(self) -> int:
        """How long a pod has to end: its publishers' drain, and a minute for the rest."""
        return int(self.settings.ingest.drain_s) + 60


DEV = Plan(
    name="dev",
    image=f"{IMAGE}:{VERSION}-cpu",
    settings=PlannedSettings(
        host="0.0.0.0",
        port=PORT,
        # kubectl port-forward svc/coturn 3478
        api=ApiSettings(node_group="media", ice_servers=["turn:127.0.0.1:3478?transport=tcp"]),
        ingest=IngestSettings(node_group="media"),
        encoder=EncoderSettings(node_group="media"),
        compressor=CompressorSettings(replicas=2, node_group="media"),
        llm=LLMSettings(replicas=2, node_group="media"),
    ),
    head=Resources(cpu="500m", memory="2Gi"),
    groups=(NodeGroup("media", Resources(cpu="2", memory="6Gi")),),
)

PROD = Plan(
    name="prod",
    image=f"{IMAGE}:{VERSION}-cuda",
    settings=PlannedSettings(
        host="0.0.0.0",
        port=PORT,
        model="Qwen/Qwen2.5-Omni-7B",
        dtype="bfloat16",
        device="cuda",
        profile="speech",  # a checkpoint without an audio selector keeps all audio
        api=ApiSettings(
            replicas=2,
            max_replicas=8,
            num_cpus=0.5,
            node_group="media",
            ice_servers=[
                "turn:turn.omnisift.example.com:3478?transport=udp",
                "turn:turn.omnisift.example.com:3478?transport=tcp",
            ],
        ),
        ingest=IngestSettings(
            replicas=2,
            max_replicas=32,
            num_cpus=1.0,
            max_sessions=8,
            drain_s=1200.0,
            node_group="media",
        ),
        encoder=EncoderSettings(
            replicas=2,
            max_replicas=8,
            num_cpus=1.0,
            num_gpus=0.45,
            max_batch_chunks=32,
            node_group="encoder",
        ),
        compressor=CompressorSettings(
            replicas=2, max_replicas=8, num_cpus=0.5, num_gpus=0.05, node_group="encoder"
        ),
        llm=LLMSettings(
            replicas=2,
            max_replicas=16,
            num_cpus=2.0,
            num_gpus=1.0,
            num_pages=16384,
            step_tokens=4096,
            node_group="llm",
        ),
    ),
    head=Resources(cpu="2", memory="8Gi"),
    groups=(
        NodeGroup("media", Resources(cpu="8", memory="16Gi"), min_nodes=2, max_nodes=8),
        NodeGroup("encoder", Resources(cpu="8", memory="32Gi", gpus=1), max_nodes=4),
        NodeGroup("llm", Resources(cpu="8", memory="48Gi", gpus=1), min_nodes=2, max_nodes=16),
    ),
    models_claim="omnisift-models",
)

PLANS: Mapping[str, Plan] = MappingProxyType({plan.name: plan for plan in (DEV, PROD)})

__all__ = ["DEV", "IMAGE", "PLANS", "PORT", "PROD", "VERSION", "NodeGroup", "Plan", "Resources"]
