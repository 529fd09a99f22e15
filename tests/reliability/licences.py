"""What ShiftLab stands on, with its licences: ``python -m tests.reliability.licences`` writes docs/licences.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "licences.md"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
# Permissive, or copyleft of files that stay as they are: none asks anything of who uses ShiftLab.
ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC",
    "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib", "BSL-1.0", "LGPL-2.1-or-later", "HPND",
}  # fmt: skip
# Classifiers and free texts of older packages, as SPDX says them.
SPDX = {
    "mit license": "MIT", "mit": "MIT", "the mit license (mit)": "MIT", "apache software license": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache-2.0": "Apache-2.0", "bsd license": "BSD", "bsd": "BSD", "bsd-3-clause": "BSD-3-Clause", "3-clause bsd license": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "simplified bsd": "BSD-2-Clause", "isc license (iscl)": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "mpl-2.0": "MPL-2.0", "python software foundation license": "PSF-2.0", "psf-2.0": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense", "dual license": "Apache-2.0 OR BSD-3-Clause", "historical permission notice and disclaimer (hpnd)": "HPND",
}  # fmt: skip

# What says nothing of its licence but in a file of its repository.
KNOWN = {"axe-playwright-python": "MIT", "mlcroissant": "Apache-2.0"}


@dataclass(frozen=True)
class Dependency:
    """An installed distribution that ShiftLab needs: for itself, for a format (`extra`), or for its tests."""

    name: str
    version: str
    licence: str
    needed_for: str


def dependencies() -> list[Dependency]:
    """Everything that the distribution shiftlab leads to and that is installed, by name."""
    extras = [
        one
        for one in metadata.metadata("shiftlab").get_all("Provides-Extra") or []
        if one not in ("all", "test")
    ]
    found: dict[str, Dependency] = {}
    for needed_for, roots in [("all", [""]), *((one, [one]) for one in extras), ("tests", ["test"])]:
        for name in _closure("shiftlab", roots, set()):
            if name not in found and name != "shiftlab":
                dist = metadata.distribution(name)
                found[name] = Dependency(name, dist.version, licence(dist.metadata), needed_for)
    return sorted(found.values(), key=lambda one: one.name)


def _closure(name: str, extras: list[str], seen: set[tuple[str, str]]) -> Iterator[str]:
    try:
        dist = metadata.distribution(name)
    except metadata.PackageNotFoundError:  # for another system, or not installed
        return
    yield canonicalize_name(name)
    for text in dist.requires or []:
        one = Requirement(text)
        for extra in extras:
            wanted = one.marker is None or one.marker.evaluate({"extra": extra})
            inner = sorted(one.extras) or [""]
            if wanted and (one.name, extra + str(inner)) not in seen:
                seen.add((one.name, extra + str(inner)))
                yield from _closure(one.name, ["", *inner] if inner != [""] else [""], seen)


def licence(about: metadata.PackageMetadata) -> str:
    """The licence as an SPDX expression where the package says one; otherwise what its classifiers say."""
    expression = about.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        c.rsplit(" :: ", 1)[-1] for c in about.get_all("Classifier") or [] if c.startswith("License :: ")
    ]
    named = sorted({SPDX.get(c.lower(), c) for c in classifiers if c != "OSI Approved"})
    text = (about.get("License") or "").strip().splitlines()
    if not named and text:
        named = [SPDX.get(text[0].lower(), text[0][:60])]
    return " AND ".join(named) or KNOWN.get(canonicalize_name(about["Name"]), "unknown")


def identifiers(expression: str) -> set[str]:
    return {one.strip("() ") for one in re.split(r"\s+(?:AND|OR|and|or)\s+", expression)}


def written(found: list[Dependency]) -> str:
    """The text of docs/licences.md. Without versions: these are pinned in the constraints."""
    rows = "".join(f"| {one.name} | {one.licence} | {one.needed_for} |\n" for one in found)
    return (
        "# Licences of what ShiftLab stands on\n\n"
        "ShiftLab itself is MIT. Bundled data have their licences in [NOTICE](../NOTICE). These packages are installed beside it:\n"
        "`all` for ShiftLab itself, the others for an extra or for the tests. Written by `python -m tests.reliability.licences` from\n"
        "what the packages say of themselves, checked by the tests against a list of permissive licences.\n\n"
        "| package | licence | needed for |\n| --- | --- | --- |\n" + rows
    )


def pins() -> dict[str, str]:
    """Version by name, as `.ci/constraints.txt` pins them."""
    lines = [line.split("==") for line in CONSTRAINTS.read_text(encoding="utf-8").split()]
    return {canonicalize_name(name): version for name, version in lines}


if __name__ == "__main__":
    LIST.write_text(written(dependencies()), encoding="utf-8")
    print(f"{len(dependencies())} packages in {LIST.relative_to(ROOT)}")
