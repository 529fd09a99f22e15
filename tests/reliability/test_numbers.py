"""Numbers that refuse to lie: what every registered measure must hold to, and what it says where it has no value."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import shiftlab as sl
from shiftlab import measures as m
from shiftlab import resources
from shiftlab.measures import registry
from shiftlab.measures.inputs import UndefinedMeasureError
from tests.reliability.conftest import Tally

PAIRED = ("mass", "grid", "sample", "cloud", "labelled", "spaces")
BY_KIND = {kind: sorted(m.available().filter(kind=kind)["name"]) for kind in registry.KINDS}
# What needs more than two clouds (a fitted rule, targets) has its own tests; a rank must fit three columns.
FITTED = {"boundary_shift", "subspace_novelty"}
NAMES = [name for kind in PAIRED for name in BY_KIND[kind] if name not in FITTED]
# Its minimum is one of several: equal up to the starts, which follow the rows.
SEVERAL_MINIMA = {"gromov_wasserstein", "classifier_two_sample"}
# Estimators whose value for equal clouds is not zero by their own declaration.
NO_DISTANCE = {
    "classifier_two_sample",
    "precision_recall_coverage",
    "kid",
    "knn_kl",
    "energy_distance_sq",
    "mmd_sq",
}
# Moving both clouds by one vector changes none of these; turning both changes none but those by direction.
DIRECTED = {"sliced_wasserstein", "max_sliced_wasserstein"}
LENGTHS = {"gaussian_wasserstein", "wasserstein", "sliced_wasserstein", "max_sliced_wasserstein",
           "partial_wasserstein", "nearest_residual", "label_aware_wasserstein"}  # fmt: skip
TRIED = 0


def inputs(kind: str, seed: int, shift: float = 0.0, n: int = 24) -> tuple[Any, Any]:
    """Two inputs of a kind whose difference grows with `shift`."""
    rng = np.random.default_rng(seed)
    if kind in ("mass", "grid"):
        p = rng.dirichlet(np.ones(8))
        return p, (1 - shift) * p + shift * rng.dirichlet(np.ones(8))
    if kind == "sample":
        return rng.normal(size=n), rng.normal(size=n) + shift
    return rng.normal(size=(n, 3)), rng.normal(size=(n + 3, 3)) + shift


def labels(name: str, x: Any, y: Any) -> dict[str, Any]:
    """Labels that go with the rows: the half that a row's first number lies in."""
    if name != "label_aware_wasserstein":
        return {}
    middle = np.mean([x[:, 0].mean(), y[:, 0].mean()])
    return {"labels_x": x[:, 0] > middle, "labels_y": y[:, 0] > middle}


def value(name: str, x: Any, y: Any) -> float | None:
    """The measure's number, or None where it says why it has none. Anything else is a lie."""
    global TRIED
    TRIED += 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            found = m.get(name).function(x, y, **labels(name, x, y))
    except UndefinedMeasureError as error:
        assert len(error.reason) > 10, name
        return None
    except ValueError as error:
        assert any(word in str(error) for word in ("x", "y", "p", "q", "k", "folds")), (name, error)
        assert len(str(error)) > 10, name
        return None
    number = float(getattr(found, "value", found))
    assert not math.isnan(number), f"{name} is NaN in silence"
    return number


def within(name: str) -> tuple[float, float, bool]:
    """The declared range as numbers: lowest, highest, and whether infinity is declared."""
    text = m.get(name).range
    if "may be slightly negative" in text:
        return -math.inf, math.inf, False
    words = text.split(";")[0].split(" (")[0].strip()
    low, high = (one.strip() for one in words[1:-1].split(","))
    known = {
        "inf": math.inf,
        "-inf": -math.inf,
        "ln 2": math.log(2),
        "sqrt 2": math.sqrt(2),
        "span of the grid": math.inf,
    }
    return (
        known.get(low, 0.0) if low not in known else known[low],
        known[high] if high in known else float(high),
        text.split(";")[0].strip().endswith("inf]"),
    )


def in_range(name: str, number: float | None) -> bool:
    low, high, infinite = within(name)
    if number is None:
        return True
    if math.isinf(number):
        return infinite
    return low - 1e-9 <= number <= high * (1 + 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_symmetry_identity_and_range(name: str) -> None:
    spec = m.get(name)
    for seed in range(3):
        x, y = inputs(spec.kind, seed, 0.3)
        there, back, self_ = value(name, x, y), value(name, y, x), value(name, x, x)
        assert in_range(name, there), (name, there)
        assert in_range(name, back), (name, back)
        if spec.symmetric and there is not None:
            tolerance = 0.2 if name in SEVERAL_MINIMA else 1e-6
            assert back == pytest.approx(there, rel=tolerance, abs=tolerance), name
        if name not in NO_DISTANCE and self_ is not None:
            assert abs(self_) <= 1e-5, (name, self_)


@pytest.mark.parametrize("name", [n for n in NAMES if m.get(n).kind in ("cloud", "labelled", "spaces")])
def test_moved_turned_reordered_and_scaled_clouds(name: str) -> None:
    spec = m.get(name)
    for seed in range(2):
        x, y = inputs(spec.kind, seed, 0.5)
        rng = np.random.default_rng(seed)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        plain = value(name, x, y)
        assert plain is not None
        if name != "kid":  # a polynomial kernel has an origin, as published
            assert value(name, x + 7, y + 7) == pytest.approx(plain, rel=1e-3, abs=1e-4), (name, "moved")
        if name not in DIRECTED | {"classifier_two_sample", "label_aware_wasserstein"}:
            assert value(name, x @ turn, y @ turn) == pytest.approx(plain, rel=1e-3, abs=1e-4), (
                name,
                "turned",
            )
        mixed = value(name, x[rng.permutation(len(x))], y[rng.permutation(len(y))])
        tolerance = 0.2 if name in SEVERAL_MINIMA else 1e-6
        assert mixed == pytest.approx(plain, rel=tolerance, abs=tolerance), (name, "reordered")
        if name in LENGTHS:
            assert value(name, 3 * x, 3 * y) == pytest.approx(3 * plain, rel=1e-4), (name, "scaled")


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in NAMES
        if n not in ("precision_recall_coverage", "gromov_wasserstein", "label_aware_wasserstein")
    ],
)
def test_a_growing_mixture_gives_growing_values(name: str) -> None:
    """More of another distribution in one side: the mean of several draws rises."""
    kind = m.get(name).kind
    means = []
    for share in (0.0, 0.5, 1.0):
        found = []
        for seed in range(4):
            if kind in ("mass", "grid"):
                p, other = np.random.default_rng(seed).dirichlet(np.ones(8), 2)
                x, y = p, (1 - share) * p + share * other
            else:
                x, y = inputs(kind, seed, 0.0, n=24)
                moved = int(share * len(y))
                y = y.copy()
                y[:moved] = y[:moved] * 2 + 3
            one = value(name, x, y)
            if one is not None:
                found.append(one)
        means.append(np.mean(found))
    assert means[0] < means[2], (name, means)
    assert means[1] > means[0] or name in ("partial_wasserstein",), (name, means)


POINT = np.ones((1, 3))
DEGENERATE: dict[str, tuple[Any, Any]] = {
    "constant": (np.ones((9, 3)), np.ones((9, 3))),
    "two constants": (np.ones((9, 3)), np.full((9, 3), 2.0)),
    "one row": (POINT, POINT + 1),
    "one row against many": (POINT, np.arange(30.0).reshape(10, 3)),
    "two rows": (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3) + 1),
    "equal rows": (np.tile([[1.0, 2.0, 3.0]], (8, 1)), np.arange(24.0).reshape(8, 3)),
    "a flat column": (np.c_[np.arange(9.0), np.zeros((9, 2))], np.c_[np.arange(9.0) + 1, np.zeros((9, 2))]),
    **{
        f"scale 1e{power}": tuple(one * 10.0**power for one in inputs("cloud", 1, 0.5))
        for power in (-150, -30, 30, 150)
    },
    "scales apart": (inputs("cloud", 1)[0] * 1e-100, inputs("cloud", 1)[1] * 1e100),
    "far from the origin": tuple(one + 1e9 for one in inputs("cloud", 1, 0.5)),
}
MASSES: dict[str, tuple[Any, Any]] = {
    "one category": (np.array([1.0]), np.array([1.0])),
    "apart": (np.array([1.0, 0.0]), np.array([0.0, 1.0])),
    "equal": (np.array([0.5, 0.5]), np.array([0.5, 0.5])),
    "no mass": (np.zeros(3), np.ones(3)),
    "negative mass": (np.array([1.0, -1.0]), np.ones(2)),
    "tiny mass": (np.array([1e-150, 1e-150]), np.array([1e150, 1e-150])),
    "huge mass": (np.array([1e150, 1e150]), np.array([1e150, 1.0])),
    "denormal": (np.array([5e-324, 1.0]), np.array([1.0, 5e-324])),
    "NaN": (np.array([np.nan, 1.0]), np.ones(2)),
    "lengths apart": (np.ones(2), np.ones(3)),
}


@pytest.mark.parametrize("case", sorted(set(DEGENERATE) | set(MASSES)))
def test_degenerate_inputs_have_a_value_in_range_or_a_reason(case: str) -> None:
    wrong = []
    for name in NAMES:
        kind = m.get(name).kind
        table = MASSES if kind in ("mass", "grid") else DEGENERATE
        if case not in table:
            continue
        x, y = table[case]
        if kind == "sample":
            x, y = x[:, 0], y[:, 0]
        try:
            number = value(name, x, y)
        except (AssertionError, RuntimeWarning, ArithmeticError, np.linalg.LinAlgError) as error:
            wrong.append((name, type(error).__name__, str(error)[:150]))
            continue
        if not in_range(name, number):
            wrong.append((name, number, m.get(name).range))
    assert not wrong, "\n".join(map(str, wrong))


def test_what_holds_no_numbers_is_refused() -> None:
    bad: list[Callable[[], Any]] = [
        lambda: [["a", "b"]], lambda: np.full((3, 3), np.nan), lambda: np.full((3, 3), np.inf),
        lambda: np.ones((0, 3)), lambda: np.ones((3, 0)), lambda: np.ones((2, 2, 2)), lambda: None, lambda: {"a": 1},
    ]  # fmt: skip
    for name in NAMES:
        _, good = inputs(m.get(name).kind, 0)
        for make in bad:
            with pytest.raises(ValueError):
                m.get(name).function(make(), good)


def on_the_page(catalog: sl.Catalog, left: str, right: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page of a pair, as the explorer's server runs it."""
    from streamlit.testing.v1 import AppTest

    monkeypatch.setenv("SHIFTLAB_CATALOG", str(catalog.path))
    main = sys.modules["__main__"]  # streamlit puts the page in its place
    try:
        app = AppTest.from_file(str(resources.folder("apps") / "app.py"), default_timeout=60).run()
        app.switch_page("views/pair.py")
        for key, value in {"dataset": "small", "left": left, "right": right}.items():
            app.query_params[key] = value
        return app.run()
    finally:
        sys.modules["__main__"] = main


def test_undefined_is_null_with_its_reason_everywhere(
    stored: sl.Catalog, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A divergence of two sides of which one has what the other lacks: Python, SQL, command line and page agree."""
    pairs = stored.sql("select name from subsets where class = 'cat' order by n").rows()
    left, right = pairs[0][0], pairs[1][0]
    (score,) = stored.compare(left, right, measure="kl")
    assert score.value is None
    assert score.note
    found = stored.sql(
        "select value, p, note from scores where measure = 'kl' order by score_id desc limit 1"
    ).rows()
    assert found == [(None, None, score.note)]
    shown = cli("--catalog", str(stored.path), "shift", left, right, "--measure", "kl", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    assert score.note.split(":")[0] in shown.stdout
    assert "NaN" not in shown.stdout
    app = on_the_page(stored, left, right, monkeypatch)
    assert not app.exception
    table = next(one.value for one in app.dataframe if {"measure", "note"} <= set(one.value.columns))
    row = table[table["measure"] == "kl"].iloc[0]
    assert row["note"] == score.note
    told = row.get("value")  # a column without any value is left out
    assert told is None or math.isnan(told)  # as pandas says NULL
    assert not [
        one.value
        for one in (*app.markdown, *app.metric, *app.caption)
        if "nan" in str(one.value).lower().split()
    ]
    for column in ("value", "debiased", "ci_low", "ci_high", "p", "null_mean"):
        if column in stored.sql("describe scores").pl()["column_name"].to_list():
            assert stored.sql(f"select count(*) from scores where isnan({column})").rows() == [(0,)]


def test_the_count_is_told(tally: Tally) -> None:
    tally("numbers", measures=len(NAMES), values=TRIED, degenerate_inputs=len(DEGENERATE) + len(MASSES))
