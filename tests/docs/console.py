"""Documents whose commands run: every ```console block is typed as it stands and its output compared.

A line ``$ shiftlab ...`` is a command (it may go on over several lines while a quote is open), the lines after it
are what it prints. A printed line ``...`` stands for any lines. ``$ export NAME=value`` holds for the commands after
it. ```python blocks run too, in the same folder, and print what a ```text block right below shows. Numbers may differ
by one per cent, text by nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WIDTH = "118"
_BLOCK = re.compile(r"```(console|python)\n(.*?)```(?:\n\n?```text\n(.*?)```)?", flags=re.S)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Command:
    """One command of a console block: as typed, and the lines printed below it."""

    typed: str
    printed: list[str]


def commands(block: str) -> Iterator[Command]:
    """The commands of one console block, in order."""
    typed, printed = "", list[str]()
    for line in block.splitlines():
        if typed and not _whole(typed):
            typed += "\n" + line
        elif line.startswith("$ "):
            if typed:
                yield Command(typed, printed)
            typed, printed = line[2:], []
        else:
            printed.append(line)
    if typed:
        yield Command(typed, printed)


def _whole(typed: str) -> bool:
    try:
        shlex.split(typed)
    except ValueError:
        return False
    return True


class Shell:
    """Runs the blocks of one document in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "COLUMNS": WIDTH, "SHIFTLAB_DEBUG": ""}

    def console(self, command: Command) -> list[str]:
        """The lines that the command prints, without blanks at the ends; AssertionError if it fails."""
        words = shlex.split(command.typed.replace("\\$", "$"))  # as a shell reads it between double quotes
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = value
            return []
        assert words[0] == "shiftlab", f"not a command of ours: {command.typed}"
        return self._run([sys.executable, "-m", "shiftlab", *words[1:]], command.typed)

    def python(self, block: str) -> list[str]:
        """Runs the block as a program; the lines that it prints, without blanks at the ends."""
        return self._run([sys.executable, "-c", block], block)

    def _run(self, words: list[str], told: str) -> list[str]:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{told}\n{done.stderr}"
        return [line.rstrip() for line in done.stdout.splitlines() if line.strip()]


def play(text: str, shell: Shell) -> None:
    """Runs every block of a document; AssertionError where something else is printed than what is shown."""
    for language, block, below in _BLOCK.findall(text):
        if language == "python":
            found = shell.python(block)
            shown = [line for line in below.splitlines() if line.strip()]
            if shown:
                assert alike(shown, found), "\n".join([block, "is shown with", *shown, "and prints", *found])
            continue
        for command in commands(block):
            found = shell.console(command)
            if command.printed:
                assert alike(command.printed, found), "\n".join(
                    [command.typed, "is shown with", *command.printed, "and prints", *found]
                )


def filled(text: str, shell: Shell) -> str:
    """The document with the shown outputs replaced by what the commands print now; ``...`` stays at the end."""

    def block(found: re.Match[str]) -> str:
        if found[1] == "python":
            printed = shell.python(found[2])
            if found[3] is None:
                return found[0]
            return "\n".join(["```python", found[2] + "```", "", "```text", *printed, "```"])
        lines = list[str]()
        for command in commands(found[2]):
            printed = shell.console(command)
            lines.append(f"$ {command.typed}")
            if command.printed:
                cut = command.printed[-1].strip() == "..." and len(command.printed) <= len(printed)
                lines += [*printed[: len(command.printed) - 1], "..."] if cut else printed
        return "```console\n" + "\n".join(lines) + "\n```"

    return _BLOCK.sub(block, text)


def alike(shown: list[str], found: list[str]) -> bool:
    """Whether the printed lines match, ``...`` standing for any number of lines."""
    if not shown:
        return not found
    if shown[0].strip() == "...":
        return any(alike(shown[1:], found[k:]) for k in range(len(found) + 1))
    return bool(found) and _same(shown[0], found[0]) and alike(shown[1:], found[1:])


def _same(shown: str, found: str) -> bool:
    if _NUMBER.sub("#", shown.strip()).split() != _NUMBER.sub("#", found.strip()).split():
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(found), strict=True)
    return all(abs(float(a) - float(b)) <= 0.01 * max(abs(float(a)), abs(float(b))) for a, b in pairs)
