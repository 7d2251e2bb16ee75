"""The command line: `omnisift`, see docs/cli.md. Knows only `clients.sdk`."""

from clients.cli.entry import main

__all__ = ["main"]
