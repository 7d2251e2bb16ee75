"""`omnisift completion`: what makes a shell complete commands and options, by argcomplete."""

import argparse
from typing import TYPE_CHECKING

from clients.cli.console import Console

if TYPE_CHECKING:
    from clients.cli.arguments import AddParser

SHELLS = ("bash", "zsh", "fish", "tcsh")


def add_completion(add: "AddParser") -> None:
    """The options of the command."""
    parser = add(
        "completion",
        help="print a script that lets the shell complete commands",
        description='For this shell: eval "$(omnisift completion bash)"; for good: into ~/.bashrc.',
    )
    parser.add_argument("shell", nargs="?", default="bash", choices=SHELLS)


def run_completion(options: argparse.Namespace, console: Console) -> None:
    from argcomplete.shell_integration import shellcode

    console.result(shellcode(["omnisift"], shell=options.shell))


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and exit, where it is a shell that asks; otherwise do nothing."""
    import argcomplete

    argcomplete.autocomplete(parser)


__all__ = ["add_completion", "complete", "run_completion"]
