"""Runs the benchmarks, each in a process of its own, and prints their rows: ``python -m tests.benchmarks [NAME]``.

Every module compares ShiftLab with the usual way in the same run and prints ratios of CPU seconds.
One thread each, unless a module says otherwise: a ratio must not depend on how many cores are idle.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_RUN = "import json, {module} as m; print(json.dumps(m.run(), default=str))"


def main(wanted: list[str]) -> None:
    names = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))
    unknown = set(wanted) - set(names)
    if unknown:
        sys.exit(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in wanted or names:
        print(f"\n## {name}", flush=True)
        code = _RUN.format(module=f"tests.benchmarks.{name}")
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **one_thread},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1])
            continue
        for row in json.loads(done.stdout.strip().splitlines()[-1]):
            print(", ".join(f"{key} {_short(value)}" for key, value in row.items()))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(sys.argv[1:])
