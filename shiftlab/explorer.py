"""Starts the Streamlit explorer as a process of its own and builds links into it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from shiftlab import resources
from shiftlab.errors import BadInputError, ShiftLabError

HOST = "127.0.0.1"
FIRST_PORT = 8501
_START_SECONDS = 60


def link(page: str, parameters: Mapping[str, str] | None = None, *, port: int = FIRST_PORT) -> str:
    """The address of a page in a state, as ``http://127.0.0.1:8501/shift?pair=...``."""
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f"http://{HOST}:{port}/{page}{query}"


@dataclass
class Server:
    """A running explorer."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return link("", port=self.port)

    def wait(self, *, open_browser: bool) -> None:
        """Until it answers, then until it ends. Ctrl+C ends it."""
        self.wait_until_healthy()
        if open_browser:
            webbrowser.open(self.url)
        with suppress(KeyboardInterrupt):
            self.process.wait()

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ShiftLabError("the explorer ended while starting; its messages stand above")
            try:
                with urllib.request.urlopen(link("_stcore/health", port=self.port), timeout=1) as answer:
                    if answer.read() == b"ok":
                        return
            except OSError:
                time.sleep(0.1)
        raise ShiftLabError(f"the explorer did not answer on port {self.port} within {_START_SECONDS} s")


@contextmanager
def serve(catalog: Path, port: int | None = None) -> Iterator[Server]:
    """The explorer of a catalog on 127.0.0.1; ended on leaving. Raises `BadInputError` if `port` is taken.

    In the main thread a request to end (SIGTERM) leaves too, so that no server stays behind.
    """
    chosen = port or free_port()
    if port and not _is_free(port):
        raise BadInputError(f"port {port} is taken; leave out --port to use the next free one")
    command = [
        sys.executable, "-m", "streamlit", "run", str(resources.folder("apps") / "app.py"),
        "--server.port", str(chosen),
    ]  # fmt: skip
    environment = {**os.environ, "SHIFTLAB_CATALOG": str(catalog.resolve())}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _leave) if main else None
    try:
        yield Server(process, chosen)
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def _leave(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def free_port(first: int = FIRST_PORT) -> int:
    """The first free port of this machine from `first` on."""
    for port in range(first, first + 200):
        if _is_free(port):
            return port
    raise ShiftLabError(f"no free port from {first} to {first + 199}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0
