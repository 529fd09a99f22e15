"""What can go wrong, as types: each carries the exit code that the command line answers with.

Every message names the file, row or column at fault and says how to mend it.
"""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class ShiftLabError(Exception):
    """Work that failed (exit code 1)."""

    exit_code = 1


class BadInputError(ShiftLabError):
    """A file, name or option that cannot be used as it is (exit code 2)."""

    exit_code = 2


class NotFoundError(BadInputError):
    """A name that the catalog does not hold; the message suggests the nearest ones (exit code 2)."""


class CatalogBusyError(ShiftLabError):
    """Another process held the catalog longer than we are willing to wait (exit code 75)."""

    exit_code = 75


class TimeLimitError(ShiftLabError):
    """A query ran into its time limit (exit code 124)."""

    exit_code = 124


def told(error: OSError) -> str:
    """The system's refusal to read or write a file, in words with the mend."""
    where = f" '{error.filename}'" if error.filename else ""
    if error.errno in _FULL or "requested and" in str(error):  # numpy's words for a write that ended early
        return f"the disk is full{where}; what was not finished was not stored: free space and run it again"
    return f"cannot use the file{where}: {error.strerror or error}"
