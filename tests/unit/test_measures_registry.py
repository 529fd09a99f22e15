"""The registry: complete declarations, and help for misspelt names."""

from __future__ import annotations

import inspect

import pytest

from shiftlab import measures as m
from shiftlab.measures import registry


def test_every_declaration_is_complete_and_documented() -> None:
    table = m.available()
    assert table["name"].is_unique().all()
    for column in ("unit", "range", "zero_means", "source", "use_when", "do_not_use_when"):
        assert (table[column].str.len_chars() > 0).all()
    for name in table["name"]:
        spec = m.get(name)
        assert spec.kind in registry.KINDS
        assert inspect.getdoc(spec.function)
        assert getattr(m, name) is spec.function


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean wasserstein"):
        m.get("wassersten")
    with pytest.raises(ValueError, match="jensen_shannon"):
        m.get("jensen-shanon")
    with pytest.raises(ValueError, match="known: "):
        m.get("xyzzy")


def test_words_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="known word"):
        words = dict.fromkeys(("unit", "range", "zero_means", "source", "use_when", "do_not_use_when"), "")
        registry.declare(kind="nonsense", what="inputs", how="ot", **words)
