"""`omnisift bench`: what a running service makes of so many publishers and their questions."""

from clients.cli.bench.command import add_bench, run_bench

__all__ = ["add_bench", "run_bench"]
