"""`shiftlab` as a process beside the explorer: short ones for their rows, long ones as jobs.

Pages compute nothing themselves. SQL that a person typed runs in a process of its own, which can be ended
whatever it does. A job keeps its state in a folder below the catalog's ``jobs``, so every page and every
window sees it, and it goes on when the page is left.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import streamlit as st

import gateway
from shiftlab.errors import ShiftLabError

_GRACE_SECONDS = 5.0


class CommandError(ShiftLabError):
    """A command that failed; its words, and its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


@dataclass(frozen=True)
class Rows:
    """What a short command gave: its rows, what it said on stderr, how long it took."""

    frame: pl.DataFrame
    said: str
    seconds: float


@dataclass(frozen=True)
class Job:
    """A long command: `state` is running, done, failed, stopped or lost (its explorer ended before it)."""

    job_id: str
    arguments: tuple[str, ...]
    started: float
    state: str
    code: int | None
    seconds: float
    said: str


def shown(arguments: Sequence[str]) -> str:
    """A command as one types it."""
    return shlex.join(["shiftlab", *arguments])


def rows(arguments: Sequence[str], *, stdin: str = "", timeout: float = 30.0) -> Rows:
    """Runs a command that writes rows; the same command on an unchanged catalog is not run again.

    Raises `CommandError` with its words. The process is killed when it outlives `timeout`.
    """
    return _rows(gateway.current().stamp, tuple(arguments), stdin, timeout)


@st.cache_data(max_entries=60, max_size="300MB", show_spinner="Running the query")
def _rows(stamp: tuple[str, int, int], arguments: tuple[str, ...], stdin: str, timeout: float) -> Rows:
    gateway.current().release()
    started = time.perf_counter()
    command = [*_program(stamp[0]), *arguments, "--format", "arrow"]
    try:
        done = subprocess.run(
            command, input=stdin.encode(), capture_output=True, timeout=timeout + _GRACE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(
            f"the query ran longer than {timeout:g} s and was ended; narrow it", 124
        ) from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0:
        raise CommandError(said.removeprefix("shiftlab: ") or f"exit code {done.returncode}", done.returncode)
    return Rows(pl.read_ipc_stream(io.BytesIO(done.stdout)), said, time.perf_counter() - started)


def start(arguments: Sequence[str]) -> str:
    """Starts a job and returns its id. The same command that runs already is not started twice."""
    for job in listed():
        if job.state == "running" and job.arguments == tuple(arguments):
            return job.job_id
    job_id = f"job-{time.time_ns()}"
    folder = _folder() / job_id
    folder.mkdir(parents=True)
    with (folder / "messages").open("wb") as messages:
        process = subprocess.Popen(
            [*_program(str(gateway.path())), *arguments, "--format", "csv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            env={**os.environ, "SHIFTLAB_PROGRESS": "lines"},
            start_new_session=True,
        )
    note = {"arguments": list(arguments), "pid": process.pid, "started": time.time()}
    (folder / "job.json").write_text(json.dumps(note))
    threading.Thread(target=_await, args=(process, folder, time.time()), daemon=True).start()
    return job_id


def _await(process: subprocess.Popen[bytes], folder: Path, started: float) -> None:
    code = process.wait()
    (folder / "end.tmp").write_text(json.dumps({"code": code, "seconds": time.time() - started}))
    (folder / "end.tmp").rename(folder / "end.json")


def listed(limit: int = 50) -> list[Job]:
    """The jobs of this catalog, newest first."""
    found = sorted(_folder().glob("job-*/job.json"), reverse=True)[:limit]
    return [_read(file.parent) for file in found]


def find(arguments: Sequence[str]) -> Job | None:
    """The newest job of this command."""
    return next((job for job in listed() if job.arguments == tuple(arguments)), None)


def stop(job_id: str) -> None:
    """Ends a running job with everything it started; what it had not stored is not stored."""
    note = json.loads((_folder() / job_id / "job.json").read_text())
    (_folder() / job_id / "stopped").touch()
    if _alive(note["pid"]):
        os.killpg(note["pid"], signal.SIGTERM)


def _read(folder: Path) -> Job:
    note = json.loads((folder / "job.json").read_text())
    end_file = folder / "end.json"
    end = json.loads(end_file.read_text()) if end_file.exists() else None
    if end is None:
        state = "running" if _alive(note["pid"]) else "lost"
    elif (folder / "stopped").exists() and end["code"] != 0:
        state = "stopped"
    else:
        state = "done" if end["code"] == 0 else "failed"
    messages = folder / "messages"
    said = messages.read_text(errors="replace").strip() if messages.exists() else ""
    seconds = end["seconds"] if end else time.time() - note["started"]
    return Job(
        folder.name,
        tuple(note["arguments"]),
        note["started"],
        state,
        end and end["code"],
        seconds,
        said[-2000:],
    )


def _alive(pid: int) -> bool:
    """Whether the process is there and is still a `shiftlab` (process ids are used again)."""
    try:
        return b"shiftlab" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        pass
    if Path("/proc/self").exists():
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _folder() -> Path:
    return gateway.path() / "jobs"


def _program(catalog: str) -> list[str]:
    return [sys.executable, "-m", "shiftlab", "--catalog", catalog]
