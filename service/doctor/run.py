"""All checks, from the settings. The only part of the doctor that knows them."""

import asyncio
from collections.abc import Iterator

import torch

from compressor.omni.checkpoint import load_config
from service.doctor import machine
from service.doctor.access import check_ice, check_keys
from service.doctor.finding import Finding
from service.doctor.model import cache_bytes, check_model, encoder_bytes, text_bytes
from service.doctor.redis import check_redis
from service.settings import Settings


def run_doctor(settings: Settings) -> Iterator[Finding]:
    """Check everything that `serve` with these settings needs, before it is started."""
    yield from _machine(settings)
    url = settings.redis_url
    yield from asyncio.run(
        check_redis(
            None if url is None else url.get_secret_value(), is_kept=settings.redis_dir is not None
        )
    )
    model = list(check_model(settings.model, profile=settings.profile))
    yield from model
    if model[0].level == "ok":
        yield from _memory(settings)
    yield from _keys(settings)
    yield from check_ice(
        settings.host,
        settings.api.ice_servers,
        settings.ingest.ice_servers,
        has_turn_secret=settings.api.turn_secret is not None,
    )


def _machine(settings: Settings) -> Iterator[Finding]:
    yield machine.check_http_port(settings.host, settings.port)
    yield machine.check_udp_ports(settings.ingest.udp_ports, settings.ingest.max_sessions)
    yield machine.check_codecs()
    yield machine.check_device(settings.device)
    yield machine.check_attention(settings.device, settings.llm.attention)
    yield from machine.check_ray()


def _memory(settings: Settings) -> Iterator[Finding]:
    parts = (settings.api, settings.ingest, settings.encoder, settings.compressor, settings.llm)
    num_processes = settings.spares + sum(part.replicas for part in parts)
    config, dtype, llm = load_config(settings.model), settings.torch_dtype, settings.llm
    engine = text_bytes(config, dtype, int8_weights=llm.int8_weights)
    engine += cache_bytes(config, llm.num_pages * llm.page_tokens, dtype.itemsize)
    sizes = [encoder_bytes(config, dtype)] * settings.encoder.replicas + [engine] * llm.replicas
    if settings.device == "cpu":
        yield machine.check_memory(num_processes, sum(sizes))
        return
    yield machine.check_memory(num_processes, 0)
    if torch.cuda.is_available():  # else the device itself has been told
        yield machine.check_gpu_memory(sizes)


def _keys(settings: Settings) -> Iterator[Finding]:
    try:
        keyring = settings.auth.keyring()
    except (OSError, ValueError) as exc:
        advice = "make entries with python -m service keygen"
        yield Finding("fail", "keys", f"cannot be read: {exc}", advice)
        return
    has_secret = settings.auth.token_secret is not None
    yield from check_keys(settings.host, is_open=keyring.is_empty, has_token_secret=has_secret)


__all__ = ["run_doctor"]
