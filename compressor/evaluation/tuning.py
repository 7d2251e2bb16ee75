"""What is tried when methods are tuned, and which won. Knows nothing about papers or files."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING

from compressor.baselines.dtd import DtdOptions
from compressor.baselines.dycoke import DycokeOptions
from compressor.baselines.omnizip import OmnizipOptions
from compressor.baselines.registry import Options
from compressor.baselines.tome import TomeOptions
from compressor.baselines.uniform import UniformOptions
from compressor.config import CrossChunkConfig
from compressor.evaluation.marks import accuracy
from compressor.evaluation.methods import LIVE, Entry, LiveOptions
from compressor.evaluation.table import Row, as_table, cell

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TUNING_RATIOS = (0.25, 0.15)
_PHASES = tuple(UniformOptions(phase) for phase in (0.0, 0.25, 0.5, 0.75))
GRIDS: Mapping[str, tuple[Options | LiveOptions, ...]] = MappingProxyType(
    {
        "uniform": _PHASES,
        "stvp_uniform_audio": _PHASES,
        "dtd": tuple(DtdOptions(*pair) for pair in product((True, False), (True, False))),
        "dycoke": tuple(DycokeOptions(share) for share in (0.1, 0.3, 0.5, 1.0, 2.0)),
        "omnizip": (
            *(
                OmnizipOptions(context_ratio=ratio, attention_scale=scale, is_normed=True)
                for ratio, scale in product((0.05, 0.1, 0.2, 0.3), (8.0, 32.0))
            ),
            OmnizipOptions(min_removed=0.55, max_removed=0.55),
            *(OmnizipOptions(ratio) for ratio in (0.05, 0.2)),
        ),
        "tome": (
            *(TomeOptions(share) for share in (0.03, 0.125, 0.25, 0.5)),
            TomeOptions(is_interleaved=False),
        ),
        LIVE: (
            *(LiveOptions(CrossChunkConfig(still_saliency=still)) for still in (0.02, 0.05, 0.1)),
            *(LiveOptions(CrossChunkConfig(anchor_ratio=ratio)) for ratio in (0.02, 0.1)),
            *(LiveOptions(CrossChunkConfig(cut_saliency=cut)) for cut in (0.3, 0.9)),
            *(LiveOptions(CrossChunkConfig(audio_anchor_ratio=a)) for a in (0.04, 0.06, 0.24)),
            *(LiveOptions(CrossChunkConfig(), quiet) for quiet in (0.0, 0.0002, 0.05, 0.9)),
        ),
    }
)


def candidates(methods: Sequence[str]) -> list[Entry]:
    """List what is tried: every choice of options of a method, at every ratio."""
    return [
        Entry(method, ratio, options=options)
        for method in methods
        for options in GRIDS[method]
        for ratio in TUNING_RATIOS
    ]


def best(rows: Sequence[Row]) -> dict[str, Options | LiveOptions | None]:
    """Choose for each method the options with the highest mean accuracy over the ratios.

    Not for the live profile, whose options trade accuracy for tokens: that choice is made by hand.
    """
    means: dict[str, dict[Options | LiveOptions | None, list[float]]] = {}
    for row in rows:
        if row.entry.method != LIVE:
            by_options = means.setdefault(row.entry.method, {})
            by_options.setdefault(row.entry.options, []).append(accuracy(row.every_mark).mean)
    return {
        method: max(found, key=lambda options: sum(found[options]))
        for method, found in means.items()
    }


def tuning_table(rows: Sequence[Row]) -> str:
    """Write what was tried: one line per choice of options and ratio."""
    lines = [["method", "keep ratio", "options", "kept", "right"], ["---"] * 5]
    for row in rows:
        entry = row.entry
        found = cell(accuracy(row.every_mark))
        kept = f"{row.kept_ratio:.3f}"
        lines.append([entry.method, str(entry.keep_ratio), describe(entry.options), kept, found])
    return as_table(lines)


def describe(options: "DataclassInstance | None") -> str:
    """Name the options that are not the default ones; None: all are."""
    if options is None:
        return "default"
    if isinstance(options, LiveOptions):
        quiet = [] if options.quiet_score is None else [f"quiet_score={options.quiet_score}"]
        return ", ".join([*_changed(options.rules), *quiet]) or "default"
    return ", ".join(_changed(options)) or "default"


def _changed(options: "DataclassInstance") -> list[str]:
    default = type(options)()
    names = [field.name for field in fields(options)]
    pairs = [(name, getattr(options, name), getattr(default, name)) for name in names]
    return [f"{name}={value}" for name, value, usual in pairs if value != usual]


__all__ = ["GRIDS", "TUNING_RATIOS", "best", "candidates", "describe", "tuning_table"]
