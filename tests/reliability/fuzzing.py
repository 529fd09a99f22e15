"""Hypothesis at every door, in processes of bounded memory: ``python -m tests.reliability.fuzzing --cases 100000``.

A case is refused with an error for people (`ShiftLabError`, or click's own) or taken; what is taken must hold to
the reader's promises and come out alike a second time. Anything else is found: a traceback, more than a few
seconds, a dead process, a wrong acceptance. A found case is printed, shrunk, and lies in the folder it was run in.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS_A_CASE = 10
HEADROOM_MB = 6000
Act = Callable[[Any], None]


class TookTooLongError(BaseException):
    """Not an Exception: nothing between here and the door may take it for a refusal."""


@dataclass
class Found:
    """What one target's cases came to."""

    target: str
    cases: int = 0
    taken: int = 0
    seconds: float = 0.0


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Memory beyond what is mapped now is bounded, and a case ends at its time."""

    def ended(*_: Any) -> None:
        raise TookTooLongError(f"more than {SECONDS_A_CASE} s")

    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = mapped + (HEADROOM_MB << 20)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    previous = signal.signal(signal.SIGALRM, ended)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(target: str, cases: int, seed: int, folder: Path) -> Found:
    """Runs the cases here; raises the first that is found, as hypothesis has shrunk it."""
    import hypothesis
    from hypothesis import HealthCheck, given, settings

    from tests.reliability import fuzz_targets

    strategy, act = fuzz_targets.prepared(target, folder)
    found = Found(target)

    @hypothesis.seed(seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @given(strategy)
    def run(case: Any) -> None:
        found.cases += 1
        signal.setitimer(signal.ITIMER_REAL, SECONDS_A_CASE)
        try:
            found.taken += act(case)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    start = time.monotonic()
    with limits():
        while found.cases < cases:  # hypothesis stops early where it believes to have seen all
            before = found.cases
            run()
            if found.cases == before:
                break
            seed += 1
            run = hypothesis.seed(seed)(run)
    found.seconds = time.monotonic() - start
    return found


def main() -> None:
    from tests.reliability.fuzz_targets import shares

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one target")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        os.chdir(given.child)
        for line in sys.stdin:
            target, cases = json.loads(line)
            folder = Path(given.child) / target.replace(" ", "_")
            folder.mkdir()
            found = fuzz(target, cases, given.seed, folder)
            print(json.dumps([found.target, found.cases, found.taken, found.seconds]), flush=True)
        return
    for found in run_all(
        given.cases, given.seed, {given.only: 1} if given.only else shares(), Path(tempfile.mkdtemp())
    ):
        print(f"{found.target:28} {found.cases:8,} cases {found.taken:8,} taken {found.seconds:7.1f} s")


def run_all(cases: int, seed: int, shares: dict[str, float], folder: Path, processes: int = 2) -> list[Found]:
    """All targets by their shares of the cases, in processes side by side; AssertionError shows what was found."""
    total = sum(shares.values())
    order = sorted(shares, key=lambda name: -shares[name])
    children = []
    for number in range(processes):
        place = folder / f"process{number}"
        place.mkdir()
        lines = "".join(
            json.dumps([name, max(1, round(cases * shares[name] / total))]) + "\n"
            for name in order[number::processes]
        )
        environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                                    "PYTHONPATH": str(Path(__file__).parents[2])}  # fmt: skip
        out, err = (place / "out").open("w+"), (place / "err").open("w+")
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.fuzzing", "--child", str(place), "--seed", str(seed)],
            stdin=subprocess.PIPE, stdout=out, stderr=err, text=True, env=environment,
        )  # fmt: skip
        assert child.stdin is not None
        child.stdin.write(lines)
        child.stdin.close()
        children.append((child, place, out, err))
    results = []
    for child, place, out, err in children:
        code = child.wait()
        out.seek(0)
        err.seek(0)
        results += [Found(*json.loads(line)) for line in out if line.startswith("[")]
        assert code == 0, f"{place} ended with {code}\n{err.read()[-6000:]}"
    return results


if __name__ == "__main__":
    main()
