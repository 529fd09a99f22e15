"""The same tasks give the same results wherever they run; errors say what to do."""

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shiftlab import parallel
from shiftlab.errors import BadInputError

TASKS = [(2, 3), (10, 4), (7, 7)]
SUMS = [5, 14, 14]


def add(pair: tuple[int, int]) -> int:
    return operator.add(*pair)


def refuse_ten(pair: tuple[int, int]) -> int:
    if pair[0] == 10:
        raise BadInputError("ten is refused")
    return add(pair)


@pytest.mark.parametrize("engine", [None, "1", "2"])
def test_results_come_in_the_order_of_the_tasks(engine: str | None) -> None:
    told: list[tuple[int, int]] = []
    assert parallel.run(sum, TASKS, engine, told=lambda *at: told.append(at)) == SUMS
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_executor_of_the_caller_stays_open() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert parallel.run(add, TASKS, pool) == SUMS
        assert parallel.width(pool) == 2
        assert pool.submit(add, (1, 1)).result() == 2


def test_the_error_of_a_task_is_the_error_of_the_run() -> None:
    with ThreadPoolExecutor(1) as pool:
        for engine in (None, pool):
            with pytest.raises(BadInputError, match="ten is refused"):
                parallel.run(refuse_ten, TASKS, engine)


@pytest.mark.parametrize("engine", ["", "0", "-3", "dask", "http://a:1", "10.5", "5000"])
def test_a_text_that_names_no_engine(engine: str) -> None:
    with pytest.raises(BadInputError, match=r"--engine 4.*tcp://"):
        parallel.run(add, TASKS, engine)


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_PATIENCE", "1s")
    with pytest.raises(BadInputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        parallel.run(add, TASKS, "tcp://127.0.0.1:1")
