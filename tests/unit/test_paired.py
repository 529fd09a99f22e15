"""Stages, predictions and checkpoints in a catalog: ingested once, paired by item, stored as scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import shiftlab as sl
from shiftlab import measures
from shiftlab.errors import BadInputError, NotFoundError, ShiftLabError
from shiftlab.paired.predictions import wilson
from tests.conftest import Cli

WEIGHTS = Path(__file__).parents[1] / "data" / "weights"
N = 60


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """60 items with vectors at two stages, a truth, and a model that changes its mind about every fifth."""
    folder = tmp_path_factory.mktemp("paired")
    rng = np.random.default_rng(0)
    ids = [f"i{k:02d}" for k in range(N)]
    pl.DataFrame({"image_id": ids, "object": ["thing"] * N}).write_csv(folder / "images.csv")
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(folder / "images.csv", "d")
    base = rng.normal(size=(N, 4)).astype(np.float32)
    tuned = base + np.where(np.arange(N)[:, None] % 2, [3, 4, 0, 0], 0).astype(np.float32)
    tuned[::2] += rng.normal(size=(N // 2, 4)).astype(np.float32)
    for stage, rows, kept in (("base", base, N), ("tuned", tuned, N - 4)):
        np.savez(folder / f"{stage}.npz", ids=np.array(ids[:kept]), vectors=rows[:kept])
        catalog.ingest_vectors(folder / f"{stage}.npz", "d", "clip", stage=stage)
    truth = ["cat" if k % 3 else "dog" for k in range(N)]
    said = {"base": truth, "tuned": ["dog" if k % 5 == 0 else one for k, one in enumerate(truth)]}
    pl.DataFrame({"item": ids, "label": truth, "side": [str(k % 2) for k in range(N)]}).write_csv(
        folder / "truth.csv"
    )
    catalog.ingest_labels(folder / "truth.csv", "d", "truth")
    catalog.ingest_labels(folder / "truth.csv", "d", "side", column="side")
    for stage, labels in said.items():
        pl.DataFrame({"item": ids, "label": labels, "prob": [0.5] * N}).write_parquet(
            folder / f"{stage}.parquet"
        )
        catalog.ingest_predictions(folder / f"{stage}.parquet", "d", "net", stage=stage)
    return catalog


def test_stages_are_paired_by_item(filled: sl.Catalog) -> None:
    found = filled.compare_stages("d", "clip", after="tuned", by="side")
    moved = found.filter(pl.col("grp") == "1").row(0, named=True)
    assert moved["n"] == (N - 4) // 2
    assert (moved["magnitude"], moved["mean_norm"]) == pytest.approx((5, 5), rel=1e-5)
    assert (moved["consistency"], moved["coherence"]) == pytest.approx((1, 1), rel=1e-5)
    assert moved["p"] == 0.001
    noise = found.filter(pl.col("grp") == "0").row(0, named=True)
    assert noise["p"] > 0.05
    assert "4 items have one stage only" in noise["note"]
    rows = filled.sql(
        "select grp, value, p, n_left, params->>'coherence' from scores where measure = 'paired_shift'"
    )
    assert {row[0] for row in rows.rows()} == {"clip, side 0", "clip, side 1"}


def test_sign_flips_keep_their_level() -> None:
    """Without a common direction p is uniform."""
    from shiftlab.paired.stages import _sign_test

    rng = np.random.default_rng(1)
    values = []
    for seed in range(400):
        shift = rng.normal(size=(12, 3))
        values.append(_sign_test(shift, float(np.linalg.norm(shift.mean(0))), 99, seed)[0])
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_flips_and_accuracy(filled: sl.Catalog) -> None:
    (row,) = filled.compare_predictions("d", "net", after="tuned", truth="truth").rows(named=True)
    flipped = sum(1 for k in range(N) if k % 5 == 0 and k % 3)
    assert (row["n"], row["rate"]) == (N, flipped / N)
    assert row["ci_low"] < row["rate"] < row["ci_high"]
    assert (row["accuracy_before"], row["accuracy_after"]) == (1, 1 - flipped / N)
    assert (row["lost"], row["gained"]) == (flipped / N, 0)
    by = filled.compare_predictions("d", "net", after="tuned", by="truth")
    assert dict(by.select("grp", "rate").iter_rows()) == {"cat": flipped / 40, "dog": 0}
    assert filled.consistency("d", "net")["consistency"] == pytest.approx(1 - flipped / N)
    from shiftlab import integrity

    assert not [one for one in integrity.check(filled.store) if one.violations]


def test_wilson_is_scipys() -> None:
    for k, n in ((0, 10), (3, 10), (10, 10), (500, 1000)):
        theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_the_same_file_twice_does_nothing(filled: sl.Catalog, tmp_path: Path) -> None:
    source = filled.path.parent / "truth.csv"
    assert filled.ingest_labels(source, "d", "truth").already_there
    other = tmp_path / "other.csv"
    other.write_text("item,label\ni00,cow\n")
    with pytest.raises(BadInputError, match="labels truth already"):
        filled.ingest_labels(other, "d", "truth")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("item,label\ni00,a\ni00,b\n", "row 3: 'i00' stands twice"),
        ("item,label\ni00,a\nzz,b\n", "row 3: 'zz' is no item of 'd' .*--skip-unknown"),
        ("item,label\nzz,b\n", "'zz' is no item"),
        ("thing,label\ni00,a\n", "no column with ids"),
        ("item,labels\ni00,a\n", "no column 'label'; did you mean 'labels'"),
        ("item,label,prob\ni00,a,1.5\n", "row 2: prob is no number between 0 and 1"),
        ("item,label,prob\ni00,a,x\n", "row 2: prob"),
        ("item,label\ni00,\n", "'label' is empty"),
        ("item,label\n,a\n", "row 2: item is empty"),
        ("", "is empty; expected a header"),
    ],
)
def test_bad_tables_are_refused(filled: sl.Catalog, tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    generation = filled.store.generation()
    with pytest.raises(ShiftLabError, match=told):
        filled.ingest_predictions(path, "d", "new")
    assert filled.store.generation() == generation


def test_unknown_names_are_told(filled: sl.Catalog) -> None:
    for call, told in (
        (lambda: filled.compare_stages("d", "clip", after="tunned"), r"it has clip \(base\), clip \(tuned\)"),
        (lambda: filled.compare_stages("d", "clip", after="tuned", by="sides"), "no label 'sides'"),
        (lambda: filled.compare_predictions("d", "nett", after="tuned"), "did you mean 'net'"),
        (lambda: filled.compare_predictions("d", "net", after="x"), "no stage 'x'; it has base, tuned"),
        (lambda: filled.compare_predictions("d", "net", after="tuned", truth="t"), "no label 't'"),
    ):
        with pytest.raises(NotFoundError, match=told):
            call()


def test_checkpoints_of_one_network_in_two_layouts(catalog: sl.Catalog, tmp_path: Path) -> None:
    same = catalog.compare_checkpoints(WEIGHTS / "checkpoint_zip.pt", WEIGHTS / "checkpoint_legacy.pth")
    assert len(same) > 3
    assert same["l2"].sum() == 0
    rng = np.random.default_rng(0)
    t0 = {"conv.weight": rng.normal(size=(4, 3, 3, 3)), "fc.bias": np.zeros(5)}
    np.savez(tmp_path / "a.npz", **t0)
    np.savez(tmp_path / "b.npz", **{name: 2 * block for name, block in t0.items()})
    found = catalog.compare_checkpoints(tmp_path / "a.npz", tmp_path / "b.npz")
    assert found["relative"].to_list() == [pytest.approx(1), None]
    assert found["l2"][0] == pytest.approx(measures.weight_shift(t0, {k: 2 * v for k, v in t0.items()})[0].l2)
    assert catalog.sql("select count(*) from scores where measure = 'weight_shift'").rows() == [
        (len(same) + 2,)
    ]
    np.savez(tmp_path / "c.npz", **{"conv.weight": t0["conv.weight"]})
    with pytest.raises(BadInputError, match=r"c\.npz: has no tensor 'fc\.bias'"):
        catalog.compare_checkpoints(tmp_path / "a.npz", tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", **t0 | {"fc.bias": np.zeros(6)})
    with pytest.raises(BadInputError, match=r"block 'fc\.bias' has shape"):
        catalog.compare_checkpoints(tmp_path / "a.npz", tmp_path / "d.npz")


def test_the_commands(cli: Cli, tmp_path: Path) -> None:
    at = ("--catalog", tmp_path / "c")
    (tmp_path / "i.csv").write_text("image_id,object\n" + "".join(f"{k},x\n" for k in range(6)))
    (tmp_path / "p.csv").write_text("item,label\n" + "".join(f"{k},{k % 2}\n" for k in range(6)))
    (tmp_path / "q.csv").write_text("item,label\n" + "".join(f"{k},0\n" for k in range(6)))
    assert cli(*at, "ingest", "images", tmp_path / "i.csv", "--dataset", "d").returncode == 0
    assert (
        "6 labels t"
        in cli(*at, "ingest", "labels", tmp_path / "p.csv", "--dataset", "d", "--scheme", "t").stderr
    )
    for file, stage in (("p.csv", "base"), ("q.csv", "tuned")):
        done = cli(
            *at, "ingest", "predictions", tmp_path / file, "--dataset", "d", "--model", "m", "--stage", stage
        )
        assert done.returncode == 0, done.stderr
    shown = cli(
        *at,
        "shift",
        "predictions",
        "m",
        "--dataset",
        "d",
        "--after",
        "tuned",
        "--truth",
        "t",
        "--format",
        "json",
    )
    assert pl.read_json(shown.stdout.encode())["rate"].to_list() == [0.5]
    assert "0.5" in cli(*at, "shift", "predictions", "m", "--dataset", "d").stdout
    wrong = cli(*at, "shift", "checkpoints", tmp_path / "p.csv", tmp_path / "q.csv")
    assert wrong.returncode == 2
    assert "no known weight format" in wrong.stderr
