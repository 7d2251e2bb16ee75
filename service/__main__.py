"""The command line of the service.

`python -m service {serve,demo,replay,doctor,check-config,keygen}`
"""

import argparse
import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from service.access.keyring import generate
from service.errors import ServiceError, StoreUnavailable
from service.logs import configure_logs
from service.settings import Settings, export_ray_environment
from service.stop_signals import StopSignals

EXAMPLES = """\
OmniSIFT Live is ready: {url}

  page       {url}/
  API docs   {url}/docs
  metrics    {url}/metrics

  publish    .venv/bin/omnisift publish --synthetic --url {url}
  ask        .venv/bin/omnisift ask SESSION "what shape was red?" --url {url}
  or         curl -s {url}/v1/sessions/SESSION/query -H 'Content-Type: application/json' \\
               -d '{{"question": "what shape was red?"}}'

Ctrl-C stops it.
"""


LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (1: it failed, 2: a setting is wrong)."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the service until Ctrl-C")
    commands.add_parser("demo", help="one live stream from camera to answer, then exit")
    doctor = commands.add_parser("doctor", help="check what serving on this machine needs")
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    again = commands.add_parser("replay", help="what a recording's chunks and answers are now")
    again.add_argument("file", type=Path, help="made by `omnisift record`")
    commands.add_parser("check-config", help="print the settings as they are, secrets masked")
    make_key = commands.add_parser("keygen", help="make an API key")
    make_key.add_argument("--id", default=f"key-{secrets.token_hex(4)}", help="its public name")
    make_key.add_argument(
        "--scopes", default="publish,ask", help="of publish, ask, metrics, admin, by commas"
    )
    arguments = parser.parse_args(argv)
    if arguments.command == "keygen":
        return keygen(arguments.id, arguments.scopes.split(","))
    command = arguments.command
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "__".join(str(part) for part in problem["loc"]).upper()
            print(f"OMNISIFT_{name}: {problem['msg']}", file=sys.stderr)
        return 2
    if command == "check-config":
        print(settings.model_dump_json(indent=2))
        return 0
    if command == "doctor":
        return diagnose(settings, is_json=arguments.json)
    configure_logs(settings.log_level)
    export_ray_environment()
    if command == "replay":
        return replay(settings, arguments.file)
    try:
        return serve(settings) if command == "serve" else demo(settings)
    except (OSError, ValueError, StoreUnavailable) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1


def keygen(key_id: str, scopes: Sequence[str]) -> int:
    """Print a new API key, once, and its entry for the keys file."""
    try:
        key, kept = generate(key_id, scopes)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"key, shown only now:\n  {key}\n")
    print('entry, for "keys" in OMNISIFT_AUTH__KEYS_FILE:')
    print(f"  {json.dumps(kept.entry())}")
    return 0


def diagnose(settings: Settings, *, is_json: bool) -> int:
    """Print what is right and wrong, and what to do; 0 when nothing that is needed is missing."""
    from service.doctor import is_healthy, run_doctor

    findings = []
    for finding in run_doctor(settings):
        findings.append(finding)
        if not is_json:
            print(finding.as_text(), flush=True)
    if is_json:
        checks = [asdict(finding) for finding in findings]
        print(json.dumps({"is_healthy": is_healthy(findings), "checks": checks}))
    return 0 if is_healthy(findings) else 1


def serve(settings: Settings) -> int:
    """Run the service until SIGINT or SIGTERM; 0 also when either comes while it starts."""
    stop = StopSignals()
    stop.listen()
    with suppress(KeyboardInterrupt):
        _serve_until(stop, settings)
    return 0


def _serve_until(stop: StopSignals, settings: Settings) -> None:
    # Ray reads its environment when it is imported, so not before it is set
    from service.app import running

    print("starting Redis, Ray Serve and the model (about 20 s) ...", flush=True)
    if settings.host not in LOOPBACK and settings.auth.keyring().is_empty:
        print(f"no API keys: all who reach {settings.host} may publish, ask and see everything")
    with running(settings) as url:
        print(EXAMPLES.format(url=url), flush=True)
        stop.wait()
        print("stopping ...", flush=True)


def replay(settings: Settings, path: Path) -> int:
    """Replay a recording; 0 when all is as it was, 1 when not, 2 when it cannot be replayed."""
    from service.replay.run import run_replay

    try:
        report = run_replay(settings, path)
    except (OSError, ValueError, ServiceError) as error:
        print(error, file=sys.stderr)
        return 2
    print(report.as_text(), file=sys.stderr)
    print(json.dumps(report.as_json()))
    return 0 if report.is_same else 1


def demo(settings: Settings) -> int:
    """Run the demo; 0 when everything went as it should."""
    from service.demo.run import run_demo

    return run_demo(settings)


if __name__ == "__main__":
    sys.exit(main())
