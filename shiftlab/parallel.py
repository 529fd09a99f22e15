"""Independent tasks on this machine or on many: one seam, a `concurrent.futures.Executor`.

Every heavy job is cut into shards; a task reads its shard, and returns a little or writes one file. The caller
merges. So the engine decides only where tasks run, never what comes out, and no task opens the catalog.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

from shiftlab.errors import BadInputError, ShiftLabError

Engine = str | Executor | None
T = TypeVar("T")
R = TypeVar("R")
_ADDRESS = ("tcp://", "tls://")
_PATIENCE = "30s"  # to reach a scheduler
_BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(
    function: Callable[[T], R],
    tasks: Sequence[T],
    engine: Engine = None,
    *,
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[R]:
    """`function` of each task, in the order of the tasks.

    `engine`: None runs them here one after another; "4" in four processes of this machine;
    "tcp://scheduler:8786" on a Dask cluster, which re-runs the tasks of a lost worker (extra ``cluster``); or any
    `concurrent.futures.Executor`, which stays open. `function` must be importable and its tasks picklable.
    `told(done, all)` is called as tasks end. The first error of a task is raised and the rest is cancelled.
    """
    results: list[Any] = [None] * len(tasks)
    if engine is None:
        for number, task in enumerate(tasks):
            results[number] = function(task)
            told(number + 1, len(tasks))
        return results
    with _executor(engine) as executor:
        place = {executor.submit(function, task): number for number, task in enumerate(tasks)}
        try:
            for done, future in enumerate(as_completed(place)):
                results[place[future]] = future.result()
                told(done + 1, len(tasks))
        except BrokenExecutor as error:
            raise ShiftLabError(
                "a worker process ended before its work was done (often for want of memory); what is done is "
                "kept: run the same command again to go on"
            ) from error
        finally:
            for future in place:
                future.cancel()
    return results


def check(engine: Engine) -> None:
    """Raises BadInputError for a text that names no engine."""
    if not isinstance(engine, str) or engine.startswith(_ADDRESS):
        return
    if not engine.isdigit() or not 1 <= int(engine) <= 1024:
        raise BadInputError(
            f"no engine is called {engine!r}: give a number of processes (--engine 4) "
            "or a Dask scheduler (--engine tcp://scheduler:8786)"
        )


def width(engine: Engine) -> int:
    """About how many tasks run at once; more shards than that keep all busy."""
    if engine is None:
        return 1
    if isinstance(engine, str) and engine.isdigit():
        return int(engine)
    with _executor(engine) as executor:
        client = getattr(executor, "_client", None)
        if client is not None:
            return max(1, sum(client.nthreads().values()))
        return int(getattr(executor, "_max_workers", 1))


@contextmanager
def _executor(engine: str | Executor) -> Iterator[Executor]:
    check(engine)
    if isinstance(engine, Executor):
        yield engine
    elif engine.isdigit():
        with _processes(int(engine)) as pool:
            yield pool
    else:
        with _cluster(engine) as executor:
            yield executor


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Workers are as many as there are cores to use: linear algebra in each keeps to one thread, which it
    # learns from the environment it starts in.
    before = {name: os.environ.get(name) for name in _BLAS}
    os.environ.update(dict.fromkeys(_BLAS, "1"))
    try:
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInputError(f"--engine {address} needs Dask: pip install 'shiftlab[cluster]'") from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise BadInputError(
            f"no Dask scheduler answers at {address} within {_PATIENCE}: start one (dask scheduler) "
            "and workers (dask worker), with ShiftLab installed on all"
        ) from error
    with client:
        yield client.get_executor()
