"""shiftlab check: integrity of the catalog."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from shiftlab.cli.settings import Settings, common


@click.command(epilog="Example: shiftlab check --repair")
@common
@click.option("--repair", is_flag=True, help="Remove files that a killed run left behind.")
def check(settings: Settings, repair: bool) -> None:
    """Verify the catalog: unique ids, sizes, overlaps, scores and vector files. Exit 1 if a rule is broken."""
    import polars as pl

    from shiftlab import integrity

    findings = integrity.check(settings.open().store, repair=repair)
    schema = {"rule": pl.String, "violations": pl.Int64, "example": pl.String}
    settings.emit(pl.DataFrame([asdict(one) for one in findings], schema=schema))
    broken = sum(one.violations > 0 for one in findings)
    settings.say(f"{len(findings)} rules, {broken} broken")
    if broken:
        sys.exit(1)
