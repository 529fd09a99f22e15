"""The measures that take something else than two clouds or masses: the same promises, each on its own input."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pytest

from shiftlab import measures as m
from shiftlab.measures.inputs import UndefinedMeasureError
from tests.reliability.conftest import Tally
from tests.reliability.test_numbers import NAMES as OF_TWO_CLOUDS

Arguments = tuple[Any, ...]
Random = np.random.Generator
TRIED = 0


@dataclass(frozen=True)
class Other:
    """`usual` draws an input, `same` one whose `parts` are all zero, `again` reorders one without changing the value;
    `bad` are inputs of which no number may come."""

    usual: Callable[[Random], Arguments]
    same: Callable[[Random], Arguments] | None
    parts: Callable[[Any], Any]
    again: Callable[[Arguments, Random], Arguments] | None
    bad: tuple[Arguments, ...]
    swaps: bool = False


def _rows(arguments: Arguments, rng: Random) -> Arguments:
    """The same rows of every argument in another order."""
    order = rng.permutation(len(arguments[0]))
    return tuple(np.asarray(one)[order] for one in arguments)


def _clouds(rng: Random) -> Arguments:
    return rng.normal(size=(30, 4)), rng.normal(size=(30, 4)) + 0.5


def _twice(rng: Random) -> Arguments:
    x = rng.normal(size=(30, 4))
    return x, x.copy()


def _blocks(rng: Random) -> dict[str, np.ndarray]:
    return {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=7)}


def _transitions(rng: Random) -> Arguments:
    s, a = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    return s, a, s @ rng.normal(size=(3, 3)) + a @ rng.normal(size=(2, 3))


def _linear(rng: Random) -> Arguments:
    whole = _transitions(rng)
    return tuple(one[:30] for one in whole), tuple(one[30:] for one in whole)


def _policies(rng: Random) -> Arguments:
    return rng.normal(size=(9, 2)), np.ones((9, 2)), rng.normal(size=(9, 2)), np.full((9, 2), 2.0)


def _labelled(rng: Random) -> Arguments:
    x = rng.normal(size=(60, 3))
    return x, (x[:, 0] > 0).astype(int), (x[:, 1] > 0).astype(int)


NAN, INF = np.full((3, 3), np.nan), np.full((3, 3), np.inf)
ONES = np.ones((3, 3))
OTHERS: dict[str, Other] = {
    "block_sensitivity": Other(
        lambda r: ([(_blocks(r), _blocks(r)) for _ in range(2)], [(_blocks(r), _blocks(r)) for _ in range(2)]),
        None, lambda found: list(found.values()), None,
        (([], []), ([({"a": ONES}, {"b": ONES})], []), ([({"a": NAN}, {"a": NAN})], [({"a": ONES}, {"a": ONES})]))),
    "weight_shift": Other(
        lambda r: (_blocks(r), _blocks(r)), lambda r: ({"a": ONES}, {"a": ONES.copy()}), lambda found: [one.l2 for one in found], None,
        (({"a": NAN}, {"a": ONES}), ({"a": ONES}, {"a": np.ones(4)}), ({}, {}))),
    "subspace_novelty": Other(
        lambda r: (r.normal(size=(60, 12)), r.normal(size=(20, 12))), None, lambda found: 0.0, None,
        ((NAN, ONES), (ONES, np.ones((3, 4))), (np.ones((1, 12)), np.ones((2, 12))), (np.zeros((60, 12)), np.zeros((20, 12))))),
    "decompose_shift": Other(
        lambda r: (r.integers(1, 9, (3, 2)), r.integers(1, 9, (3, 2))), lambda r: (np.ones((3, 2)), np.ones((3, 2))),
        lambda found: [found.covariate_tv, found.label_tv, found.concept_tv], lambda a, r: _rows(a, r),
        ((NAN, ONES), (-ONES, ONES), (ONES, np.ones((2, 2))), (np.zeros((3, 3)), ONES))),
    "label_shift_weights": Other(
        lambda r: (np.eye(3) * 5 + 1, r.integers(1, 9, 3)), None, lambda found: 0.0, None,
        ((NAN, np.ones(3)), (np.zeros((3, 3)), np.ones(3)), (np.eye(3), np.ones(2)), (ONES, np.ones(3)))),
    "boundary_shift": Other(
        _labelled, lambda r: (lambda x, y, _: (x, y, y))(*_labelled(r)), lambda found: [found.angle_deg, found.rate], None,
        ((NAN, np.zeros(3), np.ones(3)), (ONES, np.zeros(3), np.zeros(3)), (ONES, np.zeros(2), np.ones(3)))),
    "amplitude_spectrum": Other(
        lambda r: (r.normal(size=32),), None, lambda found: 0.0, None, ((np.full(4, np.nan),), (np.ones(0),), (np.full(16, 3.0),), (None,))),
    "task_similarity": Other(
        lambda r: (r.normal(size=(4, 9)),), None, lambda found: 0.0, None, ((NAN,), (INF,), (np.ones((0, 3)),))),
    "vendi_score": Other(
        lambda r: (r.normal(size=(20, 3)),), None, lambda found: 0.0, lambda a, r: _rows(a, r), ((NAN,), (np.ones((0, 3)),), (np.zeros((3, 3)),))),
    "flip_rate": Other(
        lambda r: (r.integers(0, 3, 40), r.integers(0, 3, 40)), lambda r: (np.arange(9), np.arange(9)),
        lambda found: [found.rate], lambda a, r: _rows(a, r), (([], []), ([1, 2], [1]))),
    "forgetting": Other(
        lambda r: (r.uniform(size=(3, 3)),), lambda r: (ONES / 2,), lambda found: [found.forgetting, found.bwt], None,
        ((NAN,), (np.ones((2, 3)) * 2,), (np.ones((0, 0)),))),
    "prediction_consistency": Other(
        lambda r: (r.integers(0, 2, (9, 4)),), lambda r: (np.arange(20).reshape(5, 4),), lambda found: found, lambda a, r: _rows(a, r),
        ((np.ones((0, 4)),), (np.ones((4, 1)),))),
    "effect_correlation": Other(
        lambda r: (r.normal(size=20), r.normal(size=20)), None, lambda found: 0.0, lambda a, r: _rows(a, r),
        ((np.ones(5), np.arange(5.0)), ([1.0], [2.0]), ([np.nan] * 4, [1.0] * 4), ([1.0, 2.0], [1.0])), swaps=True),
    "paired_shift": Other(
        _clouds, _twice, lambda found: [found.magnitude], lambda a, r: _rows(a, r), ((NAN, ONES), (ONES, np.ones((2, 3))), (np.ones((0, 3)),) * 2)),
    "shift_recovery": Other(
        lambda r: (*_clouds(r), r.normal(size=(30, 4))), None, lambda found: 0.0, None,
        ((NAN, ONES, ONES), (ONES, ONES, ONES), (ONES, 2 * ONES, np.ones((3, 2))))),
    "forget_ratio": Other(
        lambda r: (0.9, 0.6, 0.1), lambda r: (0.8, 0.8, 0.1), lambda found: found, None, ((0.1, 0.1, 0.1), (math.nan, 0.5, 0.1), (math.inf, 0.5, 0.1))),
    "precision_under_prior": Other(
        lambda r: (0.9, 0.1, 0.01), lambda r: (0.0, 0.1, 0.5), lambda found: found, None, ((0.0, 0.0, 0.5), (1.5, 0.1, 0.1), (math.nan, 0.1, 0.1))),
    "transport_gate": Other(
        lambda r: (2.0, 0.5), None, lambda found: 0.0, None, ((-1.0, 1.0), (math.nan, 1.0), (1.0, -1.0))),
    "overlap": Other(
        lambda r: (range(5), range(3, 9)), lambda r: (range(3), range(5, 9)), lambda found: found,
        lambda a, r: tuple(list(one)[::-1] for one in a), (([], []), ([], [1])), swaps=True),
    "dynamics_error": Other(
        lambda r: (lambda a, b: (a, (*b[:2], b[2] + 1)))(*_linear(r)), _linear, lambda found: found, None,
        (((NAN, ONES, ONES), (ONES, ONES, ONES)), ((ONES, ONES, ONES), (ONES, np.ones((2, 3)), ONES)), ((ONES[:1],) * 3, (ONES,) * 3))),
    "policy_kl": Other(
        _policies, lambda r: (ONES, ONES, ONES, ONES), lambda found: found, lambda a, r: _rows(a, r),
        ((NAN, ONES, ONES, ONES), (ONES, 0 * ONES, ONES, ONES), (ONES, ONES, ONES, -ONES), (ONES, ONES, np.ones((2, 3)), ONES))),
}  # fmt: skip


def numbers(found: Any, name: str = "value") -> Iterator[tuple[str, float]]:
    """Every number in a result, by where it stands."""
    if is_dataclass(found):
        for one in fields(found):
            yield from numbers(getattr(found, one.name), one.name)
    elif isinstance(found, Mapping):
        for key, value in found.items():
            yield from numbers(value, str(key))
    elif isinstance(found, list | tuple):
        for value in found:
            yield from numbers(value, name)
    elif isinstance(found, np.ndarray) and found.dtype.kind in "fiu":
        yield from ((name, float(value)) for value in found.ravel())
    elif isinstance(found, float | int | np.floating | np.integer) and not isinstance(found, bool):
        yield name, float(found)


def missing(found: Any) -> list[str]:
    """Fields that are None although nothing in the result says why."""
    told = getattr(found, "reason", None) or getattr(found, "note", None) or getattr(found, "reasons", None)
    if is_dataclass(found) and not told:
        return [
            one.name
            for one in fields(found)
            if getattr(found, one.name) is None and not one.name.endswith(("reason", "note"))
        ]
    if isinstance(found, list):
        return [name for one in found for name in missing(one)]
    return []


def measured(name: str, arguments: Arguments) -> Any:
    global TRIED
    TRIED += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return m.get(name).function(*arguments)


def test_no_measure_is_left_out() -> None:
    assert {*OF_TWO_CLOUDS, *OTHERS} == set(m.available()["name"])


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_usual_inputs_give_numbers_that_hold(name: str) -> None:
    other = OTHERS[name]
    for seed in range(4):
        arguments = other.usual(np.random.default_rng(seed))
        found = measured(name, arguments)
        values = dict(numbers(found))
        assert values
        assert not [key for key, value in values.items() if math.isnan(value)]
        assert not missing(found)
        assert repr(list(numbers(measured(name, arguments)))) == repr(list(numbers(found))), (
            "another run, another value"
        )
        if other.again is not None:
            mixed = sorted(
                value
                for _, value in numbers(measured(name, other.again(arguments, np.random.default_rng(9))))
            )
            assert mixed == pytest.approx(sorted(value for _, value in numbers(found)), rel=1e-9, abs=1e-12)
        if other.swaps:
            back = measured(name, arguments[::-1])
            first = [value for key, value in numbers(found) if key in ("value", "pearson", "spearman")]
            assert [v for k, v in numbers(back) if k in ("value", "pearson", "spearman")] == pytest.approx(
                first
            )


@pytest.mark.parametrize("name", sorted(name for name, other in OTHERS.items() if other.same))
def test_what_is_declared_zero_is_zero(name: str) -> None:
    other = OTHERS[name]
    assert other.same is not None
    for seed in range(3):
        parts = np.asarray(other.parts(measured(name, other.same(np.random.default_rng(seed)))), float)
        assert np.allclose(parts, 0, atol=1e-6), (name, parts)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_what_has_no_value_says_why(name: str) -> None:
    """Refused as wrong, undefined with a reason, or a result whose missing numbers are None; never NaN, never a warning."""
    for number, arguments in enumerate(OTHERS[name].bad):
        try:
            found = measured(name, arguments)
        except (UndefinedMeasureError, ValueError) as error:
            assert len(str(error)) > 10, (name, number)
            continue
        assert not [key for key, value in numbers(found) if math.isnan(value)], (name, number, found)
        assert not missing(found), (name, number, found)


def test_the_count_is_told(tally: Tally) -> None:
    tally("numbers", measures_of_other_inputs=len(OTHERS), values_of_these=TRIED)
