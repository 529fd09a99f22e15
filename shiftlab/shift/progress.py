"""Long work that can be watched, stopped and taken up again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CancelledError(RuntimeError):
    """The caller asked to stop; what the checkpoint holds will be taken up by the next call."""


@dataclass
class Progress:
    """Counts steps, reports them as ``report(done, total)``, and stops when ``cancel()`` says so."""

    total: int
    report: Callable[[int, int], None] | None = None
    cancel: Callable[[], bool] | None = None
    done: int = 0

    def tick(self, steps: int = 1) -> None:
        """One step is done. CancelledError if the caller wants no more."""
        if self.cancel is not None and self.cancel():
            raise CancelledError(f"cancelled after {self.done} of {self.total} steps")
        self.done = min(self.done + steps, self.total)
        if self.report is not None:
            self.report(self.done, self.total)


@dataclass
class Checkpoint:
    """Named arrays in one .npz file that is replaced whole, so that a kill leaves the old one or the new one.

    ``key`` names the computation (inputs and parameters); a file of another one is refused, not mixed in.
    """

    path: Path | None
    key: str
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def load(self) -> None:
        """Read what an earlier, unfinished call left. ValueError if it belongs to other inputs."""
        if self.path is None or not self.path.exists():
            return
        with np.load(self.path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
        key = str(found.pop("key", ""))
        if key != self.key:
            raise ValueError(
                f"checkpoint {self.path} belongs to other inputs or parameters; remove it or name another"
            )
        self.arrays = found

    def save(self, **arrays: NDArray[Any]) -> None:
        """Add arrays and write all of them."""
        self.arrays |= arrays
        if self.path is None:
            return
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, key=np.array(self.key), **self.arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)


def fingerprint(arrays: list[Any], params: Mapping[str, Any]) -> str:
    """A hash of arrays and parameters that names one computation."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        whole = np.ascontiguousarray(array)
        digest.update(f"{whole.shape}{whole.dtype}".encode())
        digest.update(whole.tobytes())
    digest.update(repr(sorted((k, repr(v)) for k, v in params.items())).encode())
    return digest.hexdigest()
