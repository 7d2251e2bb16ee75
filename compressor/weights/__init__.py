"""Weights that are shipped with the package. Knows where they are, nothing of what is in them."""

from pathlib import Path

EMBEDDED_MODEL = Path(__file__).parent / "omnisift-tiny"
# the same model's text model and head, fine-tuned under random drop instead: for comparison only
RANDOM_TRAINED_TEXT = Path(__file__).parent / "random-trained" / "text.safetensors"

__all__ = ["EMBEDDED_MODEL", "RANDOM_TRAINED_TEXT"]
