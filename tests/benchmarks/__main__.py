"""Runs the benchmarks, each in a process of its own, and prints their rows: ``python -m tests.benchmarks [NAME]``.

Every module compares ShiftLab with the usual way in the same run and prints ratios of CPU seconds.
One thread each, unless a module says otherwise: a ratio must not depend on how many cores are idle.
With ``--book FILE`` the rows are also written as Markdown, with the date, the machine and the versions; with
``--small`` those that have several scales take the one that needs seconds.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

_RUN = """
import inspect, json, {module} as m
sized = "scale" in inspect.signature(m.run).parameters
print(json.dumps(m.run({scale!r}) if sized else m.run(), default=str))
"""
_VERSIONS = ("numpy", "scipy", "POT", "duckdb", "polars", "scikit-learn")


def main(arguments: list[str]) -> None:
    scale = "small" if "--small" in arguments else "full"
    arguments = [word for word in arguments if word != "--small"]
    book = None
    if "--book" in arguments:
        at = arguments.index("--book")
        book, arguments = Path(arguments[at + 1]), arguments[:at] + arguments[at + 2 :]
    names = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))
    unknown = set(arguments) - set(names)
    if unknown:
        sys.exit(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chapters = []
    for name in arguments or names:
        print(f"\n## {name}", flush=True)
        rows = _rows(name, scale)
        for row in rows:
            print(", ".join(f"{key} {_short(value)}" for key, value in row.items()), flush=True)
        chapters.append(_chapter(name, rows))
    if book is not None:
        book.write_text("\n".join([_preface(), *chapters]), encoding="utf-8")


def _rows(name: str, scale: str) -> list[dict[str, Any]]:
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN.format(module=f"tests.benchmarks.{name}", scale=scale)],
        env={**os.environ, **one_thread},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return [{"failed": said[-1] if said else f"exit code {done.returncode}"}]
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _preface() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("shiftlab", *_VERSIONS))
    return (
        "# The benchmark book\n\n"
        f"Written by `python -m tests.benchmarks --book docs/benchmarks.md` on {datetime.date.today()}: {model}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}.\n\n"
        "CPU seconds, one thread for linear algebra; *peer* is the usual way in the same run, *ratio* how much more "
        "it costs. A chapter begins with what its module says of itself.\n"
    )


def _chapter(name: str, rows: list[dict[str, Any]]) -> str:
    about = (importlib.import_module(f"tests.benchmarks.{name}").__doc__ or "").strip()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"\n## {name}\n", about, ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_short(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _short(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")


if __name__ == "__main__":
    main(sys.argv[1:])
