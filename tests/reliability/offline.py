"""A working day of ShiftLab without a network: ``python -m tests.reliability.offline FOLDER [--cut]``.

With ``--cut`` it first leaves the machine's network for an empty one, where only the loopback device is up. In any case
a ``sitecustomize`` notes every connection or name that Python asks for beyond the machine itself, and refuses it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

GUARD = """
import os, socket

def _local(address):
    return not isinstance(address, tuple) or str(address[0]) in ("", "127.0.0.1", "::1", "localhost", "0.0.0.0")

def _noted(what):
    with open(os.environ["SHIFTLAB_TEST_NOTED"], "a") as notes:
        notes.write(repr(what) + "\\n")
    raise OSError(f"no network in this test: {what}")

_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

class Guarded(socket.socket):
    def connect(self, address):
        return _connect(self, address) if _local(address) else _noted(address)
    def connect_ex(self, address):
        return _connect_ex(self, address) if _local(address) else _noted(address)

def getaddrinfo(host, *rest, **options):
    return _getaddrinfo(host, *rest, **options) if host is None or _local((host,)) or host == socket.gethostname() else _noted(host)

socket.socket, socket.getaddrinfo = Guarded, getaddrinfo
"""
PAGES = ("", "subsets", "pair", "shift", "filters", "episodes", "measures", "runs", "sql", "cards", "items")
COMMANDS = (
    "demo day --no-open", "measures", "subsets list --class cat", "sql from.subsets", "filters list", "episodes list adroit_door", "runs", "check",
    "cards check", "export backup",
)  # fmt: skip
_IFF_UP, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x1, 0x8913, 0x8914


def cut_off() -> None:
    """Into a network of its own, whose only device is loopback."""
    arguments = [sys.executable, "-m", "tests.reliability.offline", *sys.argv[1:]]
    os.execvp(
        "unshare",
        [
            "unshare",
            *([] if os.geteuid() == 0 else ["-r"]),
            "-n",
            *[a for a in arguments if a != "--cut"],
            "--up",
        ],
    )


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(device, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(device, _SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | _IFF_UP, b""))


def network_is_there() -> bool:
    """Whether any device but loopback is there."""
    return {name for _, name in socket.if_nameindex()} - {"lo"} != set()


def day(folder: Path) -> dict[str, object]:
    """Runs the commands and the explorer; what ended well, and what was asked of the network."""
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    noted = folder / "noted"
    noted.touch()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder / "guard"), str(Path(__file__).parents[2])]),
        "SHIFTLAB_TEST_NOTED": str(noted), "SHIFTLAB_CATALOG": str(folder / "day"),
    }  # fmt: skip
    wrong = {}
    for command in COMMANDS:
        words = [word.replace("from.subsets", "from subsets") for word in command.split()]
        done = subprocess.run(
            [sys.executable, "-m", "shiftlab", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            wrong[command] = done.stderr[-500:]
    pages = subprocess.run(
        [sys.executable, "-c", _EXPLORED, str(folder / "day")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if pages.returncode:
        wrong["explorer"] = pages.stderr[-1500:]
    return {"wrong": wrong, "asked": noted.read_text().splitlines(), "network": network_is_there(), "commands": len(COMMANDS),
            "pages": len(PAGES)}  # fmt: skip


_EXPLORED = f"""
import sys, urllib.request
from pathlib import Path
from streamlit.testing.v1 import AppTest
from shiftlab import explorer, resources
with explorer.serve(Path(sys.argv[1])) as server:
    server.wait_until_healthy()
    for page in {PAGES!r}:
        with urllib.request.urlopen(explorer.link(page, port=server.port), timeout=20) as answer:
            assert b"<" in answer.read(100), page
apps = resources.folder("apps")
sys.path.insert(0, str(apps))
app = AppTest.from_file(str(apps / "app.py"), default_timeout=120).run()
assert not app.exception, app.exception
"""


def main() -> None:
    if "--cut" in sys.argv:
        cut_off()
    if "--up" in sys.argv:
        loopback_up()
    print(json.dumps(day(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
