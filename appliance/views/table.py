"""Rows as aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def as_table(rows: Sequence[Mapping[str, object]]) -> str:
    """
    :param rows: all with the same keys, which become the heads of the columns.
    :return: lines without a last newline; ``"(none)"`` where there are no rows.
    """
    if not rows:
        return "(none)"
    heads = list(rows[0])
    cells = [[head.upper() for head in heads], *([str(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )
