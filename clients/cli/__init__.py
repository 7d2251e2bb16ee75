"""The command line: `omnisift publish | ask | watch | sessions`. Knows only `clients.sdk`."""

from clients.cli.entry import main

__all__ = ["main"]
