"""Signals, checkpoints by stage, labellings, forgetting, precision, effects: each door stores what the measure says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import shiftlab as sl
from shiftlab import integrity, measures, vectors
from shiftlab.errors import BadInputError, ShiftLabError
from tests.conftest import Cli

N = 80
IDS = [f"i{k:02d}" for k in range(N)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """80 items of two classes with vectors, labels, signals at two stages and a model that forgets."""
    folder = tmp_path_factory.mktemp("states")
    rng = np.random.default_rng(0)
    side = np.where(np.arange(N) < N // 2, "left", "right")
    rows = pl.DataFrame({"image_id": IDS * 2, "object": ["thing"] * N + side.tolist()})
    rows.write_csv(folder / "images.csv")
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(folder / "images.csv", "d")
    catalog.build_subsets("d", min_images=1, min_subsets=1)
    x = rng.normal(size=(N, 3))
    strict = x[:, 0] > 0.3
    loose = strict | (x[:, 1] > 1)
    np.savez(folder / "v.npz", ids=np.array(IDS), vectors=x.astype(np.float32))
    catalog.ingest_vectors(folder / "v.npz", "d", "toy")
    t = np.arange(64)
    low = np.stack([np.sin(2 * np.pi * 2 * t / 64 + k) + 5 for k in range(N)])
    high = np.stack([np.sin(2 * np.pi * 7 * t / 64 + k) * 3 for k in range(N)])
    low[0] = 1.0
    for stage, values in (("target", low), ("output", high)):
        np.savez(folder / f"{stage}.npz", ids=np.array(IDS), values=values)
        catalog.ingest_signals(folder / f"{stage}.npz", "d", "wave", stage=stage)
    words = {True: "true", False: "false"}
    schemes = {
        "strict": [words[one] for one in strict.tolist()], "loose": [words[one] for one in loose.tolist()],
        "cell": ["a" if k % 4 < 2 else "b" for k in range(N)], "task": ["digits" if k % 2 else "letters" for k in range(N)],
        "none": ["false"] * N,
    }  # fmt: skip
    pl.DataFrame({"item": IDS} | schemes).write_csv(folder / "labels.csv")
    for scheme in schemes:
        catalog.ingest_labels(folder / "labels.csv", "d", scheme, column=scheme)
    truth = schemes["strict"]
    said = {
        "one": [t if k % 2 else "false" for k, t in enumerate(truth)],
        "two": ["true" if k % 2 else t for k, t in enumerate(truth)],
    }
    for stage, labels in said.items():
        pl.DataFrame({"item": IDS, "label": labels}).write_csv(folder / f"{stage}.csv")
        catalog.ingest_predictions(folder / f"{stage}.csv", "d", "net", stage=stage)
    return catalog


def test_signals_are_five_frequencies_apart(filled: sl.Catalog) -> None:
    found = filled.compare_signals("d", "wave", before="target", after="output").row(0, named=True)
    assert found["value"] == pytest.approx(5, rel=1e-6)
    assert (found["n"], found["p"]) == (N - 1, 0.001)
    assert "constant signals, without a spectrum: 1" in found["note"]
    same = filled.compare_signals("d", "wave", before="target", after="target", by="cell")
    assert same["grp"].to_list() == ["a", "b"]
    assert same["value"].to_list() == pytest.approx([0, 0])
    few = filled.compare_signals("d", "wave", before="target", after="output", first=4).row(0, named=True)
    assert few["value"] is None or few["value"] < 5


def test_signals_of_two_subsets(filled: sl.Catalog) -> None:
    (score,) = filled.compare("thing(left)", "thing(right)", signal="wave", stage="output", permutations=99)
    assert score.measure == "wasserstein_1d"
    assert score.value == pytest.approx(0, abs=1e-6)
    with pytest.raises(BadInputError, match="name them with --signal"):
        filled.compare("thing(left)", "thing(right)", measure="wasserstein_1d")


def test_overlap_is_of_items(filled: sl.Catalog) -> None:
    (score,) = filled.compare("thing(left)", "left(thing)", measure="overlap")
    assert (score.value, score.parts) == (1, {"jaccard": 1, "left": 1})
    (score,) = filled.compare("thing(left)", "thing(right)", measure="overlap")
    assert score.value == 0


def test_spectra_of_many_are_those_of_each() -> None:
    from shiftlab.measures.one_dimensional import amplitude_shares, amplitude_spectra

    rng = np.random.default_rng(1)
    for shape in ((17,), (8,), (6, 9), (28, 28)):
        many = rng.normal(size=(5, *shape))
        each = [measures.amplitude_spectrum(one, drop_dc=False) for one in many]
        assert amplitude_spectra(many) == pytest.approx(np.stack(each))
        dense = np.zeros_like(each[0])
        for index in np.ndindex(shape):
            at = sum(min(i, n - i) for i, n in zip(index, shape, strict=True))
            dense[at] += abs(np.fft.fftn(many[0])[index])
        assert amplitude_spectra(many)[0] == pytest.approx(dense)
        shares, varies = amplitude_shares(np.concatenate([many, np.ones((1, *shape))]))
        assert varies.tolist() == [True] * 5 + [False]
        assert shares.sum(1) == pytest.approx([1] * 5 + [0])


def test_boundary_is_the_measure_and_beats_chance(filled: sl.Catalog) -> None:
    found = filled.compare_labellings("d", "toy", before="strict", after="loose", positive="true")
    x = np.asarray(vectors.load(filled.store, "d", "toy").matrix, dtype=float)
    strict = x[:, 0] > 0.3
    expected = measures.boundary_shift(x, strict, strict | (x[:, 1] > 1))
    assert found["angle_deg"] == pytest.approx(expected.angle_deg)
    assert found["rate"] == expected.rate
    z = (x - x.mean(0)) / x.std(0, ddof=1)
    loose = strict | (x[:, 1] > 1)
    assert found["sliced_w1"] == pytest.approx(
        measures.sliced_wasserstein(z[strict], z[loose], p=1, n_projections=128)
    )
    assert found["p"] < 0.05 < found["null_mean"]
    same = filled.compare_labellings("d", "toy", before="strict", after="strict", positive="true")
    assert (same["angle_deg"], same["relabelled"], same["lost_positive"], same["p"]) == (0, 0, 0, None)


def test_random_relabelling_turns_the_boundary_by_chance() -> None:
    """Where the items that get another label are random ones, p is uniform."""
    from shiftlab.paired.boundary import _null

    rng = np.random.default_rng(8)
    values = []
    for seed in range(200):
        x = rng.normal(size=(60, 3))
        y0 = (x[:, 0] + rng.normal(size=60) > 0).astype(int)
        y1 = y0.copy()
        y1[rng.choice(np.flatnonzero(y0 == 0), 6, replace=False)] = 1
        angle = measures.boundary_shift(x, y0, y1).angle_deg
        values.append(_null(x, y0, y1, angle, 99, seed)["p"])
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_concept_moves_and_the_rest_stays(filled: sl.Catalog) -> None:
    rows = {
        r["part"]: r
        for r in filled.compare_concepts("thing(left)", "thing(right)", cells="cell", labels="strict").rows(
            named=True
        )
    }
    assert rows["covariate_tv"]["value"] == 0
    assert rows["concept_tv"]["p"] > 0.01
    shared = filled.compare_concepts("thing(left)", "left(thing)", cells="cell", labels="strict")
    assert shared["note"][0] == "no p: fewer than 30 items of a side are on it alone"
    table = filled.compare_concepts("left(thing)", cells="strict", labels="strict", labels_after="none")
    told = dict(table.select("part", "value").iter_rows())
    assert told["label_tv"] == pytest.approx(told["concept_tv"])
    assert told["label_tv"] > 0
    assert "same items" in table["note"][0]


def test_null_of_concepts_is_that_of_permuting_items() -> None:
    """Hypergeometric counts are the permutation of items: means agree, and p is uniform without a shift."""
    from shiftlab.shift.concept import _chance, _concept_tv

    rng = np.random.default_rng(2)
    cell, label = rng.integers(0, 3, 120), rng.integers(0, 2, 120)
    side = np.arange(120) < 50

    def counts(mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.bincount(cell[mask] * 2 + labels[mask], minlength=6).reshape(3, 2)

    drawn = _chance([counts(side, label), counts(~side, label)], 4000, 0)
    permuted = []
    for _ in range(1000):
        within = label.copy()
        for one in range(3):
            within[cell == one] = rng.permutation(within[cell == one])
        permuted.append(_concept_tv(counts(side, within)[None], counts(~side, within)[None])[0])
    assert drawn["concept_tv"].mean() == pytest.approx(np.mean(permuted), rel=0.05)
    assert np.quantile(drawn["concept_tv"], 0.95) == pytest.approx(np.quantile(permuted, 0.95), rel=0.08)


def test_concept_tv_of_counts_is_the_measures() -> None:
    from shiftlab.shift.concept import _concept_tv

    rng = np.random.default_rng(3)
    for _ in range(20):
        c0, c1 = rng.integers(0, 4, (2, 4, 3))
        found = measures.decompose_shift(c0 + np.eye(4, 3, dtype=int), c1)
        if found.concept_tv is not None:
            assert _concept_tv((c0 + np.eye(4, 3, dtype=int))[None], c1[None])[0] == pytest.approx(
                found.concept_tv
            )


def test_forgetting_reads_the_table_of_accuracies(filled: sl.Catalog) -> None:
    found = filled.forgetting(
        "d", "net", learned=[("one", "digits"), ("two", "letters")], tasks="task", truth="strict"
    )
    assert found["accuracy"][0] == [1.0]
    lost, kept = found["accuracy"][1]
    assert kept == 1
    assert found["forgetting"] == pytest.approx(1 - lost)
    assert found["bwt"] == pytest.approx(lost - 1)
    ratio = filled.compare_predictions(
        "d", "net", before="one", after="two", by="task", truth="strict", chance=0.5
    )
    digits = ratio.filter(pl.col("grp") == "digits").row(0, named=True)
    assert digits["forget_ratio"] == pytest.approx((1 - lost) / 0.5)


def test_precision_falls_with_the_prior(filled: sl.Catalog) -> None:
    found = filled.precision_under_prior("d", "net", truth="strict", positive="true", prior=0.01, stage="two")
    assert found["tpr"] == 1
    assert found["precision"] == pytest.approx(0.01 / (0.01 + found["fpr"] * 0.99))
    assert found["ci_low"] < found["precision"] < found["ci_high"]
    assert found["precision"] < found["precision_here"]


def test_effects_of_a_table(filled: sl.Catalog, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    e0 = rng.normal(size=30)
    frame = pl.DataFrame(
        {"job": [f"j{k}" for k in range(31)], "base": [*e0, None], "tuned": [*(2 * e0), 1.0]}
    )
    frame.write_csv(tmp_path / "bias.csv")
    found = filled.compare_effects(tmp_path / "bias.csv", before="base", after="tuned")
    assert found["pearson"] == pytest.approx(1)
    assert found["mean_abs_after"] == pytest.approx(2 * found["mean_abs_before"])
    assert (found["n"], found["p"]) == (30, 0.001)
    assert "rows left out for an empty cell: 1" in found["note"]
    constant = frame.with_columns(tuned=pl.lit(1.0))
    constant.write_csv(tmp_path / "flat.csv")
    flat = filled.compare_effects(tmp_path / "flat.csv", before="base", after="tuned")
    assert flat["pearson"] is None
    assert "all effects of e1 are equal" in flat["note"]


def test_checkpoints_by_stage(catalog: sl.Catalog, tmp_path: Path) -> None:
    """Tasks that pull together and apart, a block that follows the task, and one that does not."""
    rng = np.random.default_rng(5)
    base = {"conv": rng.normal(size=(2, 3)).astype(np.float32), "head": rng.normal(size=4)}
    step = {"conv": 0.01 * rng.normal(size=(2, 3)), "head": rng.normal(size=4)}
    stages = {
        "base": base, "t1": {k: base[k] + step[k] for k in base}, "t2": {k: base[k] + 2 * step[k] for k in base},
        "t3": {k: base[k] - step[k] for k in base}, "still": base,
        "t1b": {k: base[k] + step[k] + 0.01 for k in base},
    }  # fmt: skip
    for stage, blocks in stages.items():
        np.savez(tmp_path / f"{stage}.npz", **blocks)
        done = catalog.ingest_checkpoint(tmp_path / f"{stage}.npz", "net", stage=stage)
        assert (done.blocks, done.weights) == (2, 10)
    assert catalog.ingest_checkpoint(tmp_path / "t1.npz", "net", stage="t1").already_there
    found = catalog.compare_checkpoints("base", "t2", model="net")
    files = catalog.compare_checkpoints(tmp_path / "base.npz", tmp_path / "t2.npz")
    assert found["l2"].to_list() == pytest.approx(files["l2"].to_list())
    cosines = catalog.task_similarity("net", ["t1", "t2", "t3", "still"])
    told = {(a, b): c for a, b, c in cosines.select("left", "right", "cosine").iter_rows()}
    assert told["t1", "t2"] == pytest.approx(1, abs=1e-6)
    assert told["t1", "t3"] == pytest.approx(-1, abs=1e-6)
    flat = [np.concatenate([(stages[t][k] - base[k]).ravel() for k in base]) for t in ("t1b", "t2", "t3")]
    again = catalog.task_similarity("net", ["t1b", "t2", "t3"])["cosine"].to_list()
    assert again == pytest.approx(
        measures.task_similarity(np.stack(flat))[np.triu_indices(3, 1)].tolist(), abs=1e-6
    )
    assert told["t1", "still"] is None
    assert "'still' equals 'base'" in cosines["note"].drop_nulls()[0]
    sensitive = catalog.block_sensitivity("net", between=[("base", "t2")], within=[("t1", "t1b")])
    by_block = dict(sensitive.select("block", "sensitivity").iter_rows())
    assert by_block["head"] > 20 > by_block["conv"]
    stored = {row[0] for row in catalog.sql("select distinct measure from scores").rows()}
    assert stored == {"weight_shift", "task_similarity", "block_sensitivity"}
    assert not [one for one in integrity.check(catalog.store) if one.violations]
    for call, message in (
        (lambda: catalog.task_similarity("nett", ["t1", "t2"]), "did you mean 'net'"),
        (lambda: catalog.task_similarity("net", ["t1", "t9"]), "no checkpoint 't9'; it has base"),
        (lambda: catalog.task_similarity("net", ["t1"]), "two stages or more"),
        (lambda: catalog.ingest_checkpoint(tmp_path / "t2.npz", "net", stage="t1"), "from another file"),
        (lambda: catalog.compare_checkpoints("base", "base", model="net"), "name two stages"),
    ):
        with pytest.raises(ShiftLabError, match=message):
            call()


def test_concepts_are_recovered_by_their_shift(catalog: sl.Catalog, tmp_path: Path) -> None:
    """Two clusters that move by known vectors: the shift vectors explain all of the way."""
    rng = np.random.default_rng(6)
    ids = [str(k) for k in range(100)]
    pl.DataFrame({"image_id": ids, "object": ["x"] * 100}).write_csv(tmp_path / "i.csv")
    catalog.ingest_images(tmp_path / "i.csv", "d")
    which = np.arange(100) % 2
    before = np.where(which[:, None], [10, 0, 1], [0, 10, 1]) + 0.1 * rng.normal(size=(100, 3))
    after = before + np.where(which[:, None], [0, 0, 3], [0, 2, 0])
    for stage, rows in (("base", before), ("tuned", after)):
        np.savez(tmp_path / f"{stage}.npz", ids=np.array(ids), v=rows)
        catalog.ingest_vectors(tmp_path / f"{stage}.npz", "d", "toy", stage=stage)
    found = catalog.compare_stages("d", "toy", after="tuned", concepts=2)
    assert sorted(found["mean_norm"].to_list()) == pytest.approx([2, 3], rel=1e-5)
    assert found["recovery"].to_list() == pytest.approx([1, 1], abs=1e-5)
    assert catalog.sql("select value from scores where measure = 'shift_recovery'").rows()[0][
        0
    ] == pytest.approx(1, abs=1e-5)
    with pytest.raises(BadInputError, match="in the place of"):
        catalog.compare_stages("d", "toy", after="tuned", concepts=2, by="x")
    with pytest.raises(BadInputError, match="cannot form 101 concepts"):
        catalog.compare_stages("d", "toy", after="tuned", concepts=101)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            [
                "boundary",
                "toy",
                "--dataset",
                "d",
                "--before",
                "strict",
                "--after",
                "none",
                "--positive",
                "true",
            ],
            "'none' says never 'true'",
        ),
        (
            ["boundary", "toy", "--dataset", "d", "--before", "strict", "--after", "x", "--positive", "true"],
            "no label 'x'",
        ),
        (
            ["concept", "thing(left)", "--cells", "cell", "--labels", "strict"],
            "compare two subsets, or one subset",
        ),
        (
            ["concept", "thing(left)", "thing(right)", "--cells", "sell", "--labels", "strict"],
            "did you mean 'cell'",
        ),
        (["signals", "wav", "--dataset", "d", "--after", "output"], "did you mean 'wave'"),
        (["signals", "wave", "--dataset", "d", "--after", "x"], "it has wave (output), wave (target)"),
        (
            [
                "forgetting",
                "net",
                "--dataset",
                "d",
                "--learned",
                "one=digits",
                "--learned",
                "two=words",
                "--tasks",
                "task",
                "--truth",
                "strict",
            ],
            "no prediction at 'two' of items with task 'words'; there are digits, letters",
        ),
        (
            [
                "forgetting",
                "net",
                "--dataset",
                "d",
                "--learned",
                "one",
                "--tasks",
                "task",
                "--truth",
                "strict",
            ],
            "two names with '='",
        ),
        (
            [
                "precision",
                "net",
                "--dataset",
                "d",
                "--truth",
                "none",
                "--positive",
                "true",
                "--prior",
                "0.1",
                "--stage",
                "one",
            ],
            "rates need both classes",
        ),
        (
            [
                "precision",
                "net",
                "--dataset",
                "d",
                "--truth",
                "strict",
                "--positive",
                "true",
                "--prior",
                "2",
                "--stage",
                "one",
            ],
            "between 0 and 1, not 2",
        ),
        (["tasks", "net", "a", "b"], "no checkpoints of 'net'"),
        (["effects", "no.csv", "--before", "a", "--after", "b"], "there is no file 'no.csv'"),
        (["thing(left)", "thing(right)", "-m", "paired_shift"], "'shiftlab measures paired_shift' tells"),
    ],
)
def test_what_is_missing_is_named(cli: Cli, filled: sl.Catalog, words: list[str], told: str) -> None:
    done = cli("shift", *words, SHIFTLAB_CATALOG=str(filled.path))
    assert done.returncode == 2, done.stdout
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"ids": ["i00"], "v": [[1.0, np.nan]]}, "row 0 holds NaN"),
        ({"ids": ["i00", "i00"], "v": np.eye(2)}, "'i00' has several signals"),
        ({"ids": ["zz"], "v": [[1.0, 2.0]]}, "none of its ids"),
        ({"ids": ["i00", "zz"], "v": np.eye(2)}, "leave them out with --skip-unknown"),
        ({"ids": ["i00"], "v": np.zeros((1, 2, 2, 2))}, "two- or three-dimensional"),
        ({"ids": ["i00"], "v": np.zeros((1, 9)), "stage": "third", "signal": "wave"}, "resample them"),
        ({"ids": ["i00"], "v": np.zeros((1, 64)), "stage": "target", "signal": "wave"}, "name another stage"),
    ],
)
def test_bad_signals_are_refused(filled: sl.Catalog, tmp_path: Path, arrays: dict, told: str) -> None:
    about = {"signal": arrays.pop("signal", "new"), "stage": arrays.pop("stage", "base")}
    np.savez(tmp_path / "s.npz", **{name: np.asarray(one) for name, one in arrays.items()})
    generation = filled.store.generation()
    with pytest.raises(BadInputError, match=told):
        filled.ingest_signals(tmp_path / "s.npz", "d", **about)
    assert filled.store.generation() == generation


def test_signals_and_checkpoints_typed(cli: Cli, filled: sl.Catalog, tmp_path: Path) -> None:
    at = {"SHIFTLAB_CATALOG": str(filled.path)}
    pictures = np.random.default_rng(7).normal(size=(N, 8, 8))
    np.save(tmp_path / "p.npy", pictures)
    np.save(tmp_path / "ids.npy", np.array(IDS))
    words = (
        "ingest",
        "signals",
        tmp_path / "p.npy",
        "--ids",
        tmp_path / "ids.npy",
        "--dataset",
        "d",
        "--signal",
        "pic",
    )
    assert "80 signals of 8 x 8 -> 'd', 'pic' (base)" in cli(*words, **at).stderr
    assert "already: nothing to do" in cli(*words, **at).stderr
    np.savez(tmp_path / "w.npz", conv=np.ones((2, 2)))
    done = cli("ingest", "checkpoints", tmp_path / "w.npz", "--model", "net", **at)
    assert "1 blocks with 4 weights -> 'net' (base)" in done.stderr, done.stderr
    shown = cli("shift", "forgetting", "net", "--dataset", "d", "--learned", "one=digits", "--learned", "two=letters",
                "--tasks", "task", "--truth", "strict", "--format", "json", **at)  # fmt: skip
    assert pl.read_json(shown.stdout.encode())["forgetting"][0] > 0
    assert not [one for one in integrity.check(filled.store) if one.violations]


def test_every_measure_of_the_seeds_has_a_command() -> None:
    """What `shiftlab measures` names as a command is one, with the options it names."""
    from shiftlab.cli import root
    from shiftlab.cli.measures import command_of

    python_only = set()
    for name, kind in measures.available().select("name", "kind").iter_rows():
        told = command_of(name, kind)
        if told.startswith("from Python"):
            python_only.add(name)
            continue
        words = told.split()[1:]
        command, options = root, [word for word in words if word.startswith("--")]
        for word in words:
            found = command.get_command(None, word) if hasattr(command, "get_command") else None
            if found is None:
                break
            command = found
        if words[0] == "shift" and words[1] == "A":
            command = root.get_command(None, "shift").get_command(None, "pair")
        there = {option for one in command.params for option in one.opts}
        assert set(options) <= there, told
        assert not hasattr(command, "commands"), told
    assert python_only == {
        "gromov_wasserstein", "kolmogorov_smirnov", "label_aware_wasserstein", "label_shift_weights", "vendi_score",
    }  # fmt: skip
