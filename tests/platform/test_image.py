"""The Dockerfile: linted, and its commands run here in its order, for there may be no engine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import httpx
import pytest

from service.__main__ import main
from service.manifests.plan import PORT
from service.manifests.ray_service import USER_ID
from tests.free_port import free_port
from tests.platform.kustomize import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STEPS = re.sub(r"\\\n\s*", "", DOCKERFILE)


def steps(word: str) -> list[str]:
    return re.findall(rf"^{word} (.*)$", STEPS, re.M)


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run(
        [str(hadolint), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_base_is_pinned_and_the_user_is_nobody() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE, re.M)
    assert re.fullmatch(r"python:3\.1[12]\.\d+-slim-bookworm", base)
    assert steps("USER") == [f"{USER_ID}:{USER_ID}"]
    assert steps("EXPOSE") == [str(PORT)]
    assert f":{PORT}/healthz" in steps("HEALTHCHECK")[0]


def test_what_is_copied_is_let_in_by_dockerignore() -> None:
    allowed = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.M))
    copied = {
        source
        for step in steps("COPY")
        if not step.startswith("--from")
        for source in step.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a plain virtual environment, made in the image's order.

    What is installed here serves as cache.
    """
    folder = tmp_path_factory.mktemp("image")
    source, home = folder / "src", folder / "omnisift"
    source.mkdir()
    for step in steps("COPY"):
        *names, target = [word for word in step.split() if not word.startswith("--")]
        if "--from" in step:
            continue
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target)
            else:
                shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    # this environment's packages, in place of the downloads of the same pinned ones
    site = site_of(home / "bin" / "python")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, str(site), str(source)], check=True)
    (site / "cache.pth").write_text(sysconfig.get_path("purelib"))
    return home / "bin" / "python"


def test_the_package_installs_from_what_is_copied_and_starts(python: Path, tmp_path: Path) -> None:
    config = subprocess.run(
        [python, "-I", "-c", START],
        cwd=tmp_path,  # not the repository: only what was installed counts
        capture_output=True,
        text=True,
        check=False,
    )
    assert config.returncode == 0, config.stderr
    assert str(site_of(python)) in config.stdout


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.redis
def test_the_images_command_serves_and_its_health_check_succeeds(
    python: Path, tmp_path: Path
) -> None:
    program, *arguments = json.loads(steps("CMD")[-1])
    (check,) = re.findall(r"http://\S+/healthz", steps("HEALTHCHECK")[0])
    port = free_port()
    environment = {"PATH": f"{python.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    environment |= {"OMNISIFT_HOST": "127.0.0.1", "OMNISIFT_PORT": str(port)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    log = tmp_path / "log"
    with log.open("w") as told:
        serving = subprocess.Popen(
            [python.parent / program, *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=told,
            stderr=told,
        )
    try:
        url = check.replace(f":{PORT}", f":{port}")
        assert answers(url, serving), log.read_text()
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(60)


def site_of(python: Path) -> Path:
    return Path(subprocess.check_output([python, "-I", "-c", SITE], text=True).strip())


def answers(url: str, serving: subprocess.Popen[bytes]) -> bool:
    """Whether the URL answers 200 while the service starts."""
    until_s = time.monotonic() + START_WITHIN_S
    while serving.poll() is None and time.monotonic() < until_s:
        try:
            if httpx.get(url, timeout=2.0).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    return False


START_WITHIN_S = 120.0  # the health check's own start period
SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
START = """
import sys
import service, service.app, clients.cli, compressor.weights
from compressor.omni.checkpoint import load_config
print(service.__path__, load_config(compressor.weights.EMBEDDED_MODEL).model_type)
from service.__main__ import main
sys.exit(main(["check-config"]))
"""


def test_command_is_one_that_the_service_has() -> None:
    (command,) = steps("CMD")[-1:]
    assert command == '["python", "-m", "service", "serve"]'
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
