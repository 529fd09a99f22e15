"""The doors that `fuzzing` knocks at, each with what is drawn, what is done with it, and its share of the cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from shiftlab.errors import ShiftLabError
from tests.reliability import fuzz_files, fuzz_words


def shares() -> dict[str, float]:
    """The share of each door: what runs longer gets fewer cases."""
    costly = dict.fromkeys(("keras h5", "keras archive", "card", "robomimic", "torch zip"), 0.5)
    words = {"names of subsets": 3.0, "predicates": 4.0, "command lines": 1.0}
    return dict.fromkeys(fuzz_files.TARGETS, 1.0) | costly | words


def prepared(target: str, folder: Path) -> tuple[st.SearchStrategy[Any], Callable[[Any], bool]]:
    """What is drawn, and what runs a case: True where it was taken, False where it was refused."""
    if target in fuzz_words.TARGETS:
        return fuzz_words.TARGETS[target](folder)
    return _files(fuzz_files.TARGETS[target], folder)


def _files(
    target: fuzz_files.FileTarget, folder: Path
) -> tuple[st.SearchStrategy[Any], Callable[[Any], bool]]:
    given, file = target.make(folder)
    content = file.read_bytes()
    fingerprint = fuzz_files.fingerprint
    fingerprint(target.read(given))  # the sample itself is taken

    def act(case: bytes) -> bool:
        file.write_bytes(case)
        try:
            first = target.read(given)
        except ShiftLabError as refusal:
            assert len(str(refusal)) > 10
            return False
        assert fingerprint(first) == fingerprint(target.read(given)), "another reading gives another result"
        return True

    return target.changed(content), act
