import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from service.access.keyring import Keyring, generate
from service.admission.decision import AdmissionConfig
from service.settings import AuthSettings, Settings


def test_defaults_need_no_environment() -> None:
    settings = Settings()

    assert settings.redis_url is None
    assert settings.torch_dtype is torch.float32


def test_nested_part_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_LLM__NUM_PAGES", "64")
    monkeypatch.setenv("OMNISIFT_PROFILE", "full")

    settings = Settings()

    assert settings.llm.num_pages == 64
    assert settings.llm.page_tokens == 16
    assert settings.profile == "full"


def test_out_of_range_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_INGEST__MAX_SESSIONS", "0")

    with pytest.raises(ValidationError, match="max_sessions"):
        Settings()


def test_unknown_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_PROFILE", "fancy")

    with pytest.raises(ValidationError, match="profile"):
        Settings()


def test_load_need_not_count_for_admission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_ADMISSION__HOST_BUSY", "0.5")
    config = Settings().admission_config
    assert (config.host_busy, config.ingest_sessions) == (0.5, 16)

    monkeypatch.setenv("OMNISIFT_ADMISSION__BY_LOAD", "false")
    config = Settings().admission_config
    assert config == AdmissionConfig.of_places(ingest_sessions=16, room_tokens=1024)
    assert config.host_busy == config.lag_s == math.inf


def test_redis_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_REDIS_URL", "redis://:hunter2@localhost:6379/0")

    assert "hunter2" not in repr(Settings())


def test_tiers_of_video_must_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_LLM__VIDEO_KEEP_RATIOS", "[1.0, 0.5, 0.1]")
    assert Settings().llm.video_keep_ratios == (1.0, 0.5, 0.1)

    monkeypatch.setenv("OMNISIFT_LLM__VIDEO_KEEP_RATIOS", "[0.5, 1.0]")
    with pytest.raises(ValidationError, match="keep_ratios must fall"):
        Settings()


def test_replicas_get_the_keys_themselves_and_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(Keyring([generate("alice", ["ask"])[1]]).dump())

    resolved = AuthSettings(keys_file=path).resolved()
    path.unlink()

    assert resolved.keyring().get("alice") is not None
    assert resolved.token_secret is not None
    assert len(resolved.token_secret.get_secret_value()) >= 32
    assert resolved.resolved().token_secret == resolved.token_secret


def test_short_token_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_AUTH__TOKEN_SECRET", "short")

    with pytest.raises(ValidationError, match="token_secret"):
        Settings()
