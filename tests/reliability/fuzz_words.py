"""What people type: names of subsets, predicates, and whole command lines, drawn by hypothesis."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import click
from hypothesis import strategies as st

import shiftlab as sl
from shiftlab import names, safe_sql
from shiftlab.catalog import Store
from shiftlab.cli import root
from shiftlab.errors import ShiftLabError
from shiftlab.subsets.look import list_subsets
from tests.conftest import SMALL

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Act = Callable[[Any], bool]
_TEXT = st.text(max_size=12)


class Kept(Store):
    """A store whose read-only connection stays open: to open a file costs ten times what a case does."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.path)
        self._held = store.read()
        self.con = self._held.__enter__()

    @contextmanager
    def read(self) -> Iterator[DuckDBPyConnection]:
        yield self.con


def _small(folder: Path) -> sl.Catalog:
    catalog = sl.open(folder / "catalog")
    table = folder / "small.csv"
    table.write_text(SMALL, encoding="utf-8")
    catalog.ingest_images(table, "small")
    catalog.build_subsets("small", min_images=2, min_subsets=2)
    assert len(list_subsets(catalog.store)) > 3
    return catalog


# -- names -----------------------------------------------------------------------------------------------
def subset_names(folder: Path) -> tuple[st.SearchStrategy[Any], Act]:
    store = Kept(_small(folder).store)
    known = store.con.sql("select name from subset").pl()["name"].to_list()
    one = st.sampled_from([*known, "small"])
    cut = st.tuples(one, st.integers(0, 12), _TEXT).map(lambda d: d[0][: d[1]] + d[2] + d[0][d[1] :])
    name = st.one_of(_TEXT, one, cut, st.tuples(st.one_of(_TEXT, st.just("small")), one).map("/".join))

    def act(case: tuple[str, str | None]) -> bool:
        try:
            found = names.require_subset(store, *case)
        except ShiftLabError as refusal:
            assert len(str(refusal)) > 10
            return False
        assert case[0] in (found.name, f"{found.dataset}/{found.name}")
        assert case[1] in (None, found.dataset)
        assert found.name in known
        return True

    return st.tuples(name, st.one_of(st.none(), st.just("small"), _TEXT)), act


# -- predicates ------------------------------------------------------------------------------------------
_WORDS = [
    "n", "name", "class", "context", "dataset", "kept", "degree", "community", "mirror_of", "nothing", "1", "0", "-1", "2.5", "1e999", "'cat'",
    "'cat(sofa)'", "''", "'", '"', '"n"', "null", "true", "false", "(", ")", "[", "]", "{", "}", ",", ";", "--", "/*", "*/", "+", "-", "*", "/", "%", "=",
    "<", ">", "<>", "and", "or", "not", "in", "is", "like", "between", "case", "when", "then", "else", "end", "select", "from", "union", "all",
    "limit", "order by", "group by", "having", "where", "with", "as", "exists", "subset", "item", "x", "lambda x:", "::int", "::varchar", "$1", "$dataset",
    "?", ".", "..", "\n", "\\", "abs(", "count(*)", "len(", "row_number() over ()", "columns(", "read_text('/etc/hosts')", "getenv('HOME')", "struct_pack(a := 1)",
    "1 = 1", "n > 2", "class = 'cat'", "kept", "n > 1 and kept", "name like 'cat%'", "n in (1, 2, 3)", "upper(class)", "degree is null", ") union all (", ") limit (",
]  # fmt: skip


def predicates(folder: Path) -> tuple[st.SearchStrategy[Any], Act]:
    """A predicate may leave rows out, and nothing else: no row that was not there, none twice, no other columns."""
    store = Kept(_small(folder).store)
    everything = list_subsets(store)  # this hardens the connection, and what is locked cannot be set again
    hardened = patch.object(safe_sql, "_harden")
    rows = set(everything.rows())
    word = st.sampled_from(_WORDS)
    written = st.one_of(
        st.lists(word, min_size=1, max_size=7).map(" ".join),
        st.lists(word, min_size=1, max_size=3).map(" ".join),
        st.tuples(st.sampled_from(["n > 1", "kept"]), st.lists(word, max_size=5)).map(lambda d: " ".join([d[0], *d[1]])),
        st.tuples(st.lists(word, max_size=3), _TEXT).map(lambda d: " ".join([*d[0], d[1]])),
    )  # fmt: skip

    def act(case: str) -> bool:
        try:
            with hardened:
                found, again = (list_subsets(store, where=case) for _ in range(2))
        except ShiftLabError as refusal:
            assert str(refusal).strip()
            return False
        assert found.columns == everything.columns
        assert len(found) == len(set(found.rows()))
        assert set(found.rows()) <= rows
        assert found.equals(again)
        return True

    return written, act


# -- command lines ---------------------------------------------------------------------------------------
# They start servers, take a minute, or write beside the bundled data.
_NOT_RUN = {("explore",), ("demo",), ("episodes", "validate"), ("cards", "build")}


def _commands(group: click.Group, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += _commands(command, (*above, name))
        elif (*above, name) not in _NOT_RUN:
            found.append(((*above, name), command))
    return found


_VALUES = st.one_of(
    st.sampled_from(["", " ", "0", "1", "-1", "2", "0.5", "nan", "inf", "-inf", "1e999", "9" * 30, "cat", "cat(sofa)", "cat(bed)", "small", "small/cat(sofa)",
                     "nothing", "kept", "n > 1", "n > ", "small.csv", "nothing.csv", ".", "out", "out.csv", "out.parquet", "a=b", "a=1", "=", "1,2", "0.5,0.5", ",",
                     "../x", "\udcff", "--", "-", "@x", "é", "mmd", "sliced_wasserstein", "jensen_shannon", "tcp://127.0.0.1:1x", "select 1", "from subsets",
                     "base", "split", "table", "{}", "%s", "\n"]),
    _TEXT.filter(lambda text: "/" not in text and "\x00" not in text),
)  # fmt: skip


def command_lines(folder: Path) -> tuple[st.SearchStrategy[Any], Act]:
    """Any command with any options and values: done, or refused in words; what it writes stays in its folder."""
    catalog = _small(folder)
    commands = _commands(root)

    def words(command: tuple[tuple[str, ...], click.Command]) -> st.SearchStrategy[list[str]]:
        path, spec = command
        options: list[st.SearchStrategy[list[str]]] = []
        n_arguments = 0
        for one in spec.params:
            if isinstance(one, click.Argument):
                n_arguments += 1
            elif isinstance(one, click.Option) and one.name not in ("catalog", "engine", "help"):
                values = _VALUES
                if isinstance(one.type, click.Choice):
                    values = st.one_of(st.sampled_from([str(c) for c in one.type.choices]), _VALUES)
                flag = st.just([one.opts[0]])
                options.append(flag if one.is_flag else st.tuples(st.just(one.opts[0]), values).map(list))
        given = st.lists(_VALUES, min_size=max(0, n_arguments - 1), max_size=n_arguments + 1)
        chosen = st.lists(st.one_of(options), max_size=4) if options else st.just([])
        return st.tuples(given, chosen).map(
            lambda d: [*path, *d[0], *(word for pair in d[1] for word in pair)]
        )

    def act(case: list[str]) -> bool:
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(Sink()), contextlib.redirect_stderr(io.StringIO()):
                root.main(
                    ["--catalog", str(catalog.path), *case], prog_name="shiftlab", standalone_mode=False
                )
        except (ShiftLabError, click.ClickException) as refusal:
            assert str(refusal).strip() or isinstance(refusal, click.exceptions.NoArgsIsHelpError)
            return False
        except SystemExit as ended:
            assert ended.code in (0, 1, 2)
            return ended.code == 0
        except click.exceptions.Exit as ended:
            return ended.exit_code == 0
        return True

    return st.sampled_from(commands).flatmap(words), act


class Sink(io.TextIOWrapper):
    """A stdout that takes texts and bytes and keeps neither."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")


TARGETS: dict[str, Callable[[Path], tuple[st.SearchStrategy[Any], Act]]] = {
    "names of subsets": subset_names,
    "predicates": predicates,
    "command lines": command_lines,
}
