"""How results look in a notebook, and the doors to other tools."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import shiftlab as sl
from shiftlab import shift
from shiftlab.errors import NotFoundError


def test_catalog_subset_and_score_show_themselves(coco: sl.Catalog) -> None:
    assert "<th style='text-align:left'>items</th><td>122,218</td>" in coco._repr_html_()
    subset = coco.subset("cat(sink)")
    assert "cat(sink), 195 items" in subset._repr_html_()
    assert "and 185 more" in subset._repr_html_()
    assert (
        "<td style='text-align:left'>103806</td><td style='text-align:right'>1</td>" in subset._repr_html_()
    )
    rng = np.random.default_rng(0)
    score = shift.compare(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), permutations=19)
    assert "<strong>mmd</strong>" in score._repr_html_()
    assert "by chance" in score._repr_html_()


def test_nothing_in_a_name_can_run(coco: sl.Catalog) -> None:
    shown = coco.sql("select '<script>alert(1)</script>' as \"<b>\"")._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown


def test_items_as_polars_arrow_numpy_and_pandas(coco: sl.Catalog) -> None:
    subset = coco.subset("cat(sink)")
    assert len(subset.pl()) == subset.arrow().num_rows == len(subset.numpy()["weight"]) == subset.n == 195
    assert isinstance(subset.pandas(), pd.DataFrame)
    result = coco.sql("select name, n from subsets where class = 'cat' order by n desc limit 3")
    assert result.pandas()["n"].tolist() == result.numpy()["n"].tolist() == [row[1] for row in result.rows()]


def test_unknown_subsets_are_told(coco: sl.Catalog) -> None:
    with pytest.raises(NotFoundError, match="did you mean"):
        coco.subset("cat(sofa)")
