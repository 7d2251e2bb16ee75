"""Rows under headings, as text or for a terminal. Pure; knows nothing about what they say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        columns: Headings; one that begins with `>` is of numbers, which align to the right.
        rows: Cells, as many in each as there are columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_text(self) -> str:
        """Lines with two spaces between columns, the heading first."""
        names = [name.removeprefix(">") for name in self.columns]
        widths = [max(map(len, column)) for column in zip(names, *self.rows, strict=True)]
        return "\n".join(self._line(cells, widths) for cells in (names, *self.rows))

    def as_rich(self) -> "RichTable":
        """The same for a terminal."""
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(header_style="bold", box=None, pad_edge=False)
        for name in self.columns:
            justify: Literal["left", "right"] = "right" if name.startswith(">") else "left"
            table.add_column(name.removeprefix(">"), justify=justify)
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))  # cells are data, never markup
        return table

    def _line(self, cells: Iterable[str], widths: Sequence[int]) -> str:
        aligned = (
            cell.rjust(width) if name.startswith(">") else cell.ljust(width)
            for name, cell, width in zip(self.columns, cells, widths, strict=True)
        )
        return "  ".join(aligned).rstrip()


__all__ = ["Table"]
