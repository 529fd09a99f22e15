"""Rows to people and programs: tables, csv, json, ndjson, markdown, parquet, arrow."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl

_BY_SUFFIX = {
    ".csv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".md": "markdown",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "table",
}
_BINARY = ("parquet", "arrow")
_ROWS_ON_A_TERMINAL = 60
_RECORDS_SIDE_BY_SIDE = 4
_WIDTH_IN_A_PIPE = 240
_LEAST_TEXT = 18  # a text may be folded to this width
_GAP = 3


def emit(frame: pl.DataFrame, format: str | None, output: str | None) -> None:
    """Writes `frame` to `output` or stdout; without a format, by suffix, terminal or pipe."""
    if output:
        path = Path(output)
        chosen = format or _BY_SUFFIX.get(path.suffix.lower())
        if chosen is None:
            raise BadInputError(f"cannot tell a format from '{output}': add --format, or a suffix as .csv")
        _write_file(frame, chosen, path)
        return
    chosen = format or ("table" if sys.stdout.isatty() else "csv")
    if chosen in _BINARY:
        if sys.stdout.isatty():
            raise BadInputError(f"{chosen} is not for a terminal: add -o FILE, or pipe it")
        write(frame, chosen, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    elif chosen == "table":
        _print_table(frame)
    else:
        sys.stdout.write(text(frame, chosen))
        sys.stdout.flush()


def _write_file(frame: pl.DataFrame, format: str, path: Path) -> None:
    """Under a temporary name first: a file of that name is whole or not there."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            try:
                if format == "table":
                    file.write(plain_table(frame).encode())
                elif format in _BINARY:
                    write(frame, format, file)
                else:
                    file.write(text(frame, format).encode())
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise BadInputError(f"cannot write '{path}': {error.strerror}") from error


def write(frame: pl.DataFrame, format: str, file: IO[bytes]) -> None:
    """Parquet or an Arrow IPC stream into an open file."""
    if format == "parquet":
        frame.write_parquet(file)
    else:
        frame.write_ipc_stream(file)


def text(frame: pl.DataFrame, format: str) -> str:
    """csv, json, ndjson or markdown."""
    if format == "csv":
        return str(_flat(frame).write_csv())
    if format == "json":
        return str(frame.write_json()) + "\n"
    if format == "ndjson":
        return str(frame.write_ndjson())
    rows = [
        frame.columns,
        ["---"] * frame.width,
        *([_cell(v, full=True) for v in row] for row in frame.rows()),
    ]
    return "".join(
        "| " + " | ".join(str(v).replace("|", "\\|").replace("\n", " ") for v in row) + " |\n" for row in rows
    )


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """csv has no lists and structs: they become JSON texts."""
    import polars as pl

    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(
        pl.Series(
            name,
            [None if one is None else json.dumps(one, default=str) for one in frame[name].to_list()],
            pl.String,
        )
        for name in nested
    )


def _print_table(frame: pl.DataFrame) -> None:
    from rich.console import Console

    if not sys.stdout.isatty():
        Console(width=_WIDTH_IN_A_PIPE).print(_rich_table(frame))
        return
    console = Console()
    shown = frame.head(_ROWS_ON_A_TERMINAL)
    if _columns_within(shown, console.width) < frame.width:
        if 0 < len(frame) <= _RECORDS_SIDE_BY_SIDE:
            console.print(_records(frame))
            return
        filled = shown.select(name for name in frame.columns if shown[name].null_count() < len(shown))
        shown = filled[:, : _columns_within(filled, console.width)]
    console.print(_rich_table(shown))
    if told := _left_out(frame, shown):
        print(f"{told}; -o FILE or --format csv writes all")


def _left_out(frame: pl.DataFrame, shown: pl.DataFrame) -> str:
    """What of a frame is not shown, in words."""
    told = [f"{len(shown)} of {len(frame):,} rows"] if len(shown) < len(frame) else []
    if missing := [name for name in frame.columns if name not in shown.columns]:
        told.append(f"{shown.width} of {frame.width} columns (not shown: {', '.join(missing)})")
    return ", ".join(told)


def _columns_within(frame: pl.DataFrame, width: int) -> int:
    """How many columns fit side by side: numbers whole, texts folded to a readable width."""
    used = 0
    for number, (name, kind) in enumerate(frame.schema.items()):
        widest = max([len(name), *(len(_cell(one)) for one in frame[name])])
        used += (widest if kind.is_numeric() else min(widest, max(len(name), _LEAST_TEXT))) + _GAP
        if used > width:
            return max(1, number)
    return frame.width


def _records(frame: pl.DataFrame) -> Any:
    """A few rows as columns, a line a field."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    for _ in range(len(frame)):
        table.add_column(overflow="fold")
    for name in frame.columns:
        table.add_row(name, *(Text(_cell(value)) for value in frame[name]))
    return table


def plain_table(frame: pl.DataFrame) -> str:
    """The table as text, for files."""
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, width=_WIDTH_IN_A_PIPE).print(_rich_table(frame))
    return out.getvalue()


def _rich_table(frame: pl.DataFrame) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, dtype in frame.schema.items():
        number = dtype.is_numeric()
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number)
    from rich.text import Text

    for row in frame.rows():
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: Any, *, full: bool = False) -> str:
    if value is None:
        return ""
    if isinstance(value, float | Decimal) and not full:
        return f"{value:.4g}" if abs(float(value)) < 1e6 else f"{value:,.0f}"
    return str(value)
