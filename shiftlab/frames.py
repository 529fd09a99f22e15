"""Tables out of CSV, TSV and Parquet: whatever polars says of a file becomes an error that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shiftlab.errors import BadInputError

if TYPE_CHECKING:
    import polars as pl


def read_table(path: Path) -> pl.DataFrame:
    """The rows of a Parquet file as it types them, or of CSV or TSV (by suffix) as text: the id 007 is not 7.

    `BadInputError` naming the file where it is not there or cannot be read.
    """
    import polars as pl

    if not path.is_file():
        raise BadInputError(f"there is no file '{path}'")
    with explained(path):
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, separator="\t" if path.suffix.lower() == ".tsv" else ",", infer_schema=False)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Within, polars reads or casts what is in `path`; its refusals, and the panics of its Parquet parser, which
    are no Exceptions, come out as `BadInputError`."""
    import polars as pl

    try:
        yield
    except pl.exceptions.NoDataError as error:
        raise BadInputError(f"{path.name} is empty; expected a header and rows") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInputError(f"cannot read {path.name}: {' '.join(str(error).split())[:300]}") from error
    except pl.exceptions.PanicException as error:
        raise BadInputError(f"cannot read {path.name}: the file is damaged; write or copy it anew") from error
