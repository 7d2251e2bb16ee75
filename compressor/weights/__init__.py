"""The checkpoint that is shipped with the package. Knows where it is, nothing of what is in it."""

from pathlib import Path

EMBEDDED_MODEL = Path(__file__).parent / "omnisift-tiny"

__all__ = ["EMBEDDED_MODEL"]
