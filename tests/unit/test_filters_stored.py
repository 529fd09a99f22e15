"""Filter statistics in a catalog: ingest, regrouping, drift with verdicts, the bundled sketches, commands."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shiftlab as sl
from shiftlab import integrity, resources
from shiftlab.errors import BadInputError, NotFoundError, ShiftLabError

WEIGHTS = Path(__file__).parents[1] / "data" / "weights"
SKETCHES = resources.data("cnn_filters") / "sketches.parquet"


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> sl.Catalog:
    """The bundled sketches of 50 networks. Shared: read, do not change."""
    catalog = sl.open(tmp_path_factory.mktemp("bundled") / "catalog")
    catalog.ingest_models(SKETCHES)
    return catalog


def npz(path: Path, seed: int, layers: int = 4, shape: float = 1.0) -> Path:
    """A model of `layers` 3x3 layers whose variance falls over the positions."""
    rng = np.random.default_rng(seed)
    spread = np.linspace(1, 0.2, 9).reshape(3, 3) ** shape
    np.savez(path, **{f"conv{k}": rng.standard_normal((16, 16, 3, 3)) * spread for k in range(layers)})
    return path


def tables(catalog: sl.Catalog) -> dict[str, int]:
    names = ("model", "conv_layer", "layer_sketch", "layer_histogram", "layer_quality", "run", "ingest_issue")
    return {name: catalog.sql(f"select count(*) from {name}").rows()[0][0] for name in names}


# -- ingest ------------------------------------------------------------------------------------------
def test_a_folder_of_formats_becomes_models_with_their_layers(catalog: sl.Catalog) -> None:
    done = catalog.ingest_models([WEIGHTS / "pnet.pt", WEIGHTS / "small.keras", WEIGHTS / "fer_int8.tflite"])
    assert [(model.layers_3x3, model.filters_3x3) for model in done] == [(3, 702), (5, 48), (11, 1328)]
    frame = sl.filters.list_models(catalog.store)
    assert frame["model"].to_list() == ["fer_int8", "pnet", "small"]
    assert frame["filters_3x3"].to_list() == [1328, 702, 48]
    layer = sl.filters.show_model(catalog.store, "small").row(0, named=True)
    assert (layer["kind"], layer["stride_h"], layer["depth_from"], layer["bn_folded"]) == (
        "conv",
        2,
        "graph",
        False,
    )
    assert not [finding for finding in integrity.check(catalog.store) if finding.violations]


def test_the_same_content_is_stored_once(catalog: sl.Catalog, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", 0)
    catalog.ingest_models(path)
    before = tables(catalog)
    copy = tmp_path / "another_name.npz"
    copy.write_bytes(path.read_bytes())
    (again,) = catalog.ingest_models(copy)
    assert again.already_there
    assert again.name == "a"
    assert tables(catalog) == before


def test_models_of_one_name_stay_apart(catalog: sl.Catalog, tmp_path: Path) -> None:
    for seed, folder in enumerate(("x", "y")):
        (tmp_path / folder).mkdir()
        npz(tmp_path / folder / "model.npz", seed)
    catalog.ingest_models(tmp_path)
    names = sl.filters.list_models(catalog.store)["model"].to_list()
    assert names[0] == "model"
    assert names[1].startswith("model#")
    assert len(sl.filters.show_model(catalog.store, names[1])) == 4


@pytest.mark.parametrize("name", ["truncated.npz", "evil.pt", "text.onnx"])
def test_nothing_is_stored_of_a_file_that_failed(catalog: sl.Catalog, tmp_path: Path, name: str) -> None:
    good, bad = npz(tmp_path / "good.npz", 0), tmp_path / name
    content = {
        "truncated.npz": good.read_bytes()[:-2000],
        "evil.pt": pickle.dumps(pytest.raises, 2),
        "text.onnx": b"this is not a model",
    }
    bad.write_bytes(content[name])
    with pytest.raises(BadInputError, match=name):
        catalog.ingest_models([good, bad], keep_filters=True)
    assert tables(catalog)["model"] == 1
    assert tables(catalog)["conv_layer"] == 4
    assert len(list((catalog.path / "filters").iterdir())) == 1


def test_layers_with_nan_are_skipped_and_listed(catalog: sl.Catalog, tmp_path: Path) -> None:
    weight = np.ones((4, 4, 3, 3))
    broken = weight.copy()
    broken[0, 0, 1, 1] = np.nan
    np.savez(tmp_path / "m.npz", good=weight, broken=broken)
    (done,) = catalog.ingest_models(tmp_path / "m.npz")
    assert (done.layers, [item.name for item in done.skipped]) == (1, ["broken"])
    rows = catalog.sql("select source, record, detail from ingest_issue").rows()
    assert rows == [("m.npz", "broken", "1 of 144 weights are NaN or infinite")]


def test_a_model_without_3x3_layers_is_listed_with_a_note(catalog: sl.Catalog, tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", a=np.ones((4, 4, 5, 5)), b=np.ones((4, 4)))
    catalog.ingest_models(tmp_path / "m.npz")
    row = sl.filters.list_models(catalog.store).row(0, named=True)
    assert (row["layers"], row["filters_3x3"], row["note"]) == (1, 0, "no 3x3 layer")


def test_metadata_is_matched_by_file_and_kept_whole(catalog: sl.Catalog, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        npz(tmp_path / folder / "m.npz", ord(folder))
    table = tmp_path / "models.csv"
    table.write_text(
        "file,name,task,optimizer\na/m.npz,first,Classification,adam\nb/m.npz,second,Segmentation,sgd\n"
    )
    catalog.ingest_models(tmp_path, table)
    rows = catalog.sql("select name, task, metadata->>'optimizer' from model order by name").rows()
    assert rows == [("first", "Classification", "adam"), ("second", "Segmentation", "sgd")]
    drift = sl.filters.drift_by(catalog.store, "metadata->>'optimizer'")
    assert drift.select("left", "right").rows() == [("adam", "sgd")]


def test_metadata_that_does_not_fit_is_refused(catalog: sl.Catalog, tmp_path: Path) -> None:
    path = npz(tmp_path / "m.npz", 0)
    table = tmp_path / "models.csv"
    for text, message in (
        ("name,task\nm,x\n", "needs a column 'file' or 'sha256'"),
        ("file,task\nm.npz,x\nm.npz,y\n", "2 rows for 'm.npz'"),
    ):
        table.write_text(text)
        with pytest.raises(BadInputError, match=message):
            catalog.ingest_models(path, table)
    with pytest.raises(BadInputError, match=r"absent\.csv"):
        catalog.ingest_models(path, tmp_path / "absent.csv")


def test_folders_and_files_without_models_are_refused(catalog: sl.Catalog, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="holds no model file"):
        catalog.ingest_models(tmp_path / "empty")
    with pytest.raises(BadInputError, match="no such model file"):
        catalog.ingest_models(tmp_path / "absent.onnx")


def test_folding_batch_normalisation_makes_another_model(catalog: sl.Catalog) -> None:
    path = WEIGHTS / "small.keras"
    catalog.ingest_models(path)
    (folded,) = catalog.ingest_models(path, fold_batch_norm=True)
    (again,) = catalog.ingest_models(path, fold_batch_norm=True)
    assert (folded.already_there, again.already_there) == (False, True)
    plain, after = (
        sl.filters.show_model(catalog.store, name).row(0, named=True) for name in ("small", folded.name)
    )
    assert (plain["bn_folded"], after["bn_folded"]) == (False, True)
    assert "folded in" in after["notes"]
    assert after["orthogonality"] == pytest.approx(plain["orthogonality"], abs=1e-6)  # scales are positive
    assert after["variance_entropy"] != pytest.approx(plain["variance_entropy"], abs=1e-4)
    hashes = catalog.sql("select weight_hash from conv_layer where position = 0").rows()
    assert len(set(hashes)) == 2
    drift = sl.filters.drift_by(catalog.store, "model", where="position = 0")
    assert drift["drift"][0] == 0


# -- regrouping ----------------------------------------------------------------------------------------
def test_regrouped_drift_is_the_drift_of_the_filters(catalog: sl.Catalog, tmp_path: Path) -> None:
    for seed in range(4):
        npz(tmp_path / f"m{seed}.npz", seed, shape=1 + seed // 2)
    catalog.ingest_models(tmp_path, keep_filters=True)
    by = "case when model in ('m0', 'm1') then 'low' else 'high' end"
    weights = []
    for seed in range(4):
        with np.load(tmp_path / f"m{seed}.npz") as file:
            weights.append([file[name].astype(np.float32) for name in file.files])
    high, low = weights[2] + weights[3], weights[0] + weights[1]
    for mode in ("fixed", "uniform", "published"):
        row = sl.filters.drift_by(catalog.store, by, mode=mode).row(0, named=True)
        expected = sl.filters.drift(high, low, mode=mode)
        assert (row["left"], row["right"]) == ("high", "low")
        assert row["drift"] == pytest.approx(expected.value, rel=1e-5)  # float64 on file, float32 kept
        assert (row["filters_left"], row["models_left"], row["layers_left"]) == (expected.n_p, 2, 8)
    assert row["null"] == "layer"  # two models a side have six splits only


def test_drift_is_stored_once_per_parameters(catalog: sl.Catalog, tmp_path: Path) -> None:
    for seed in range(3):
        npz(tmp_path / f"m{seed}.npz", seed)
    catalog.ingest_models(tmp_path)
    for _ in range(2):
        sl.filters.drift_by(catalog.store, "model")
    rows = catalog.sql(
        "select left_id, right_id, value, debiased, n_left from score where measure = 'filter_drift'"
    )
    assert len(rows.rows()) == 3
    assert rows.rows()[0][:2] == ("model = m0", "model = m1")
    sl.filters.drift_by(catalog.store, "model", seed=1)
    assert catalog.sql("select count(*) from score").rows() == [(6,)]


def test_published_drift_of_kept_filters_has_its_companions(catalog: sl.Catalog, tmp_path: Path) -> None:
    paths = [npz(tmp_path / f"m{seed}.npz", seed, shape=1 + seed) for seed in range(2)]
    catalog.ingest_models(paths, keep_filters=True)
    row = sl.filters.drift_by(catalog.store, "model", mode="published").row(0, named=True)
    p, q = ([array.astype(np.float32) for array in np.load(path).values()] for path in paths)
    assert row["drift"] == pytest.approx(sl.filters.drift(p, q, mode="published").value, abs=1e-12)
    flat = [np.concatenate([layer.reshape(-1, 9) for layer in side]) for side in (p, q)]
    assert row["sliced_wasserstein"] == pytest.approx(sl.filters.sliced_wasserstein(*flat))
    assert sl.filters.drift_by(catalog.store, "model")["sliced_wasserstein"].to_list() == [None]
    note = catalog.sql(
        "select note from score where measure = 'filter_drift' order by score_id limit 1"
    ).rows()[0][0]
    assert (note is None or "not distinguishable" not in note) == row["distinguishable"]


def test_filters_are_kept_later_too(bundled: sl.Catalog, catalog: sl.Catalog) -> None:
    catalog.ingest_models(SKETCHES)
    before = tables(catalog)
    with pytest.raises(BadInputError, match="ingest its weights again with --keep-filters"):
        sl.filters.contact_sheet(catalog.store, "mtcnn-pnet")
    weights = SKETCHES.parent / "pnet.pt"
    (done,) = catalog.ingest_models(weights, keep_filters=True)
    assert (done.name, done.already_there, done.filters_added) == ("mtcnn-pnet", True, True)
    (again,) = catalog.ingest_models(weights, keep_filters=True)
    assert not again.filters_added
    assert tables(catalog) == before | {"run": before["run"] + 1}
    assert not [finding for finding in integrity.check(catalog.store) if finding.violations]


def test_a_contact_sheet_shows_the_weights_themselves(catalog: sl.Catalog, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((6, 4, 3, 3)).astype(np.float32)
    weight[2, 1] = 3 * weight[5, 0]  # parallel
    weight[4, 3] = 0
    np.savez(tmp_path / "m.npz", first=rng.standard_normal((2, 2, 3, 3)), second=weight)
    catalog.ingest_models(tmp_path / "m.npz", keep_filters=True)
    rows = weight.reshape(-1, 9)

    def sheet(**options):
        return sl.filters.contact_sheet(catalog.store, "m", 1, **options)

    whole = sheet(filters=1000)
    assert np.array_equal(np.array(whole["weights"].to_list()), rows)
    assert whole.filter(filter=11).select("out_channel", "in_channel").row(0) == (2, 3)
    strongest = sheet(pick="norm", filters=5)
    assert strongest["filter"].to_list() == np.argsort(-np.linalg.norm(rows, axis=1))[:5].tolist()
    nearest = sheet(pick="nearest", like=20, filters=2)
    assert nearest["filter"].to_list() == [20, 9]
    assert nearest["cosine"].to_list() == pytest.approx([1, 1])
    assert sheet(pick="nearest", like=19, filters=1)["filter"].to_list() == [19]  # of zeros: still itself
    assert sheet(filters=5).equals(sheet(filters=5))
    assert not sheet(filters=5).equals(sheet(filters=5, seed=1))
    for options, told in (
        ({"like": 24}, "filters 0 to 23"),
        ({"filters": 0}, "1 or more"),
        ({"pick": "best"}, "random"),
    ):
        with pytest.raises(BadInputError, match=told):
            sheet(**options)
    with pytest.raises(NotFoundError, match="0 to 1"):
        sl.filters.contact_sheet(catalog.store, "m", 2)


def test_thresholds_of_degenerate_layers_are_parameters(bundled: sl.Catalog) -> None:
    layers = sl.filters.list_layers(bundled.store)
    found = layers.filter(pl.col("kernel") == "3x3")
    assert found["degenerate"].null_count() == 0
    assert layers.filter(pl.col("kernel") != "3x3")["degenerate"].null_count() == len(layers) - len(found) > 0
    by_hand = (pl.col("variance_entropy") >= pl.col("threshold") - 0.02).fill_null(False) | (
        (pl.col("variance_entropy") < 0.5) & (pl.col("sparsity") >= 0.14)
    )
    assert found["degenerate"].to_list() == found.select(by_hand).to_series().to_list()
    strict = sl.filters.list_layers(bundled.store, random_margin=-10, low_entropy=0)
    assert strict["degenerate"].sum() == 0


def test_layers_are_listed_by_kind_and_by_any_column_of_the_view(bundled: sl.Catalog) -> None:
    every = sl.filters.list_layers(bundled.store)
    kinds = {kind: sl.filters.list_layers(bundled.store, kind=kind) for kind in ("regular", "depthwise")}
    assert set(kinds["depthwise"]["kind"]) == {"depthwise"}
    assert set(kinds["regular"]["kind"]) <= {"conv", "unknown"}
    assert len(every) > len(kinds["regular"]) + len(kinds["depthwise"]) > 0
    one = sl.filters.list_layers(bundled.store, where="task = 'Segmentation'")
    assert set(one["model"]) < set(every["model"])
    assert one.columns == every.columns


def test_groups_that_make_no_sense_are_refused(bundled: sl.Catalog) -> None:
    store = bundled.store
    with pytest.raises(BadInputError, match="makes one group"):
        sl.filters.drift_by(store, "'all'")
    with pytest.raises(BadInputError, match="no layer with a 9x9 kernel"):
        sl.filters.drift_by(store, "task", kernel="9x9")
    with pytest.raises(BadInputError, match=r"--keep-filters"):
        sl.filters.drift_by(store, "task", mode="published")
    with pytest.raises(BadInputError, match="groups; the limit"):
        sl.filters.drift_by(store, "layer_key", kind="all")
    with pytest.raises(NotFoundError, match="did you mean 'open-nsfw'"):
        sl.filters.show_model(store, "opennsfw")
    for text in ("nothere", "task; drop table model", "task) from model --", "(delete from model)"):
        with pytest.raises(ShiftLabError):
            sl.filters.drift_by(store, text)
    assert tables(bundled)["model"] == 50


# -- the bundled networks ------------------------------------------------------------------------------
def test_the_bundle_holds_the_known_filter_counts(bundled: sl.Catalog) -> None:
    frame = sl.filters.list_models(bundled.store)
    counts = dict(frame.select("model", "filters_3x3").iter_rows())
    layers = dict(frame.select("model", "layers_3x3").iter_rows())
    assert len(frame) == 50
    expected = {
        "pp-ocrv4-det": (12, 11_904), "pp-ocrv4-rec": (7, 480), "pp-ocr-cls": (4, 88),
        "open-nsfw": (16, 314_368), "mtcnn-pnet": (3, 702), "mtcnn-rnet": (2, 1_428), "mtcnn-onet": (3, 6_240),
        "deepcr-mask-acs": (6, 10_272), "deepcr-inpaint-3-32": (10, 47_168), "fer-mini-xception": (11, 1_328),
        "basic-pitch-onnx": (1, 33), "mediapipe-face-landmark": (23, 46_560), "ddddocr-rec": (11, 89_496),
        "ddddocr-det": (31, 384_480), "ddddocr-rec-uint8": (11, 89_496), "ukis-csmask-4b-l1c": (26, 306_264),
        "esrgan-slim-x2": (8, 11_364), "esrgan-slim-x8": (8, 17_664), "face-api-recognition": (28, 618_496),
        "face-api-ssd": (18, 209_856), "face-api-age-gender": (14, 1_792), "face-api-tiny-detector": (6, 544),
        "nsfwjs-inception-v3": (17, 632_928), "nsfwjs-mobilenet-v2": (18, 7_232),
        "nsfwjs-mobilenet-v2-mid": (18, 10_176), "mediapipe-selfie": (7, 280),
    }  # fmt: skip
    assert {name: (layers[name], counts[name]) for name in expected} == expected
    assert frame["licence"].null_count() == frame["task"].null_count() == frame["category"].null_count() == 0


def test_one_network_in_two_formats_has_no_drift(bundled: sl.Catalog) -> None:
    def between(left: str, right: str) -> float:
        names = f"model in ('{left}', '{right}')"
        return sl.filters.drift_by(bundled.store, "model", where=names, kind="all")["drift"][0]

    assert between("basic-pitch-onnx", "basic-pitch-tflite") == 0
    assert between("fer-mini-xception", "fer-mini-xception-int8") < 0.01
    # The uint8 copy with its zero points; without them the same network drifts by more than 15.
    assert between("ddddocr-rec", "ddddocr-rec-uint8") < 0.01
    assert between("esrgan-slim-x2", "esrgan-slim-x4") < 0.05


def test_duplicates_name_the_copies(bundled: sl.Catalog) -> None:
    frame = sl.filters.stored_duplicates(bundled.store)
    pairs = {
        (left, right): relation for left, right, relation in frame.select("left", "right", "relation").rows()
    }
    assert pairs["basic-pitch-onnx", "basic-pitch-tflite"] == "copy"
    assert pairs["fer-mini-xception", "fer-mini-xception-int8"] == "shares layers"


def test_the_basis_of_all_networks_is_led_by_the_mean(bundled: sl.Catalog) -> None:
    frame = sl.filters.basis_by(bundled.store)
    assert frame["variance_share"].sum() == pytest.approx(1)
    assert frame["variance_share"].is_sorted(descending=True)
    leading = np.array(frame["eigenfilter"][0].to_list())
    assert (leading > 0).all()


def test_quality_by_depth_and_task(bundled: sl.Catalog) -> None:
    frame = sl.filters.quality_by(bundled.store, "depth_decile", kind="all")
    assert frame["group"].to_list() == [str(k) for k in range(1, 11)]
    assert frame["filters"].sum() == sl.filters.list_models(bundled.store)["filters_3x3"].sum()
    assert frame.filter(pl.col("sparsity").is_between(0, 1)).height == 10
    by_hand = bundled.sql("""
        select sum(variance_entropy * n) / sum(n) from filter_layers
        where kernel = '3x3' and depth_decile = 10""").rows()[0][0]  # fmt: skip
    assert frame["variance_entropy"][9] == pytest.approx(by_hand)


def test_phenotypes_and_the_sweep_cover_every_layer(bundled: sl.Catalog) -> None:
    frame = sl.filters.phenotypes_by(bundled.store, "task")
    assert set(frame["label"]) <= {"sun", "spikes", "symbols", "point"}
    sweep = sl.filters.sweep(bundled.store)
    assert sweep["layers"].unique().to_list() == [
        bundled.sql("select count(layer_id) from conv_layer").rows()[0][0]
    ]
    looser = (
        sweep.filter(pl.col("eps") == 0.1)["degenerate"] >= sweep.filter(pl.col("eps") == 0.001)["degenerate"]
    )
    assert looser.all()


def test_a_small_catalog_of_each_format_is_what_the_bundle_says(
    bundled: sl.Catalog, catalog: sl.Catalog
) -> None:
    """The shipped file read here gives the very sketch that was bundled."""
    catalog.ingest_models([WEIGHTS / "pnet.pt", WEIGHTS / "fer_int8.tflite"])
    for mine, theirs in (("pnet", "mtcnn-pnet"), ("fer_int8", "fer-mini-xception-int8")):
        query = """
            select l.position, h.* exclude layer_key from layer_histogram h
            join conv_layer l using (layer_key) join model m using (model_id)
            where m.name = $name order by all"""
        assert catalog.sql(query, {"name": mine}).rows() == bundled.sql(query, {"name": theirs}).rows()


# -- sharing sketches -----------------------------------------------------------------------------------
def test_exported_sketches_come_back_the_same(
    bundled: sl.Catalog, catalog: sl.Catalog, tmp_path: Path
) -> None:
    assert sl.filters.export_sketches(bundled.store, tmp_path / "out.parquet") == 50
    assert pl.read_parquet(tmp_path / "out.parquet").equals(pl.read_parquet(SKETCHES))
    catalog.ingest_models(tmp_path / "out.parquet")
    assert sl.filters.list_models(catalog.store).equals(sl.filters.list_models(bundled.store))
    assert not [finding for finding in integrity.check(catalog.store) if finding.violations]
    assert {model.already_there for model in catalog.ingest_models(SKETCHES)} == {True}


def test_sketch_files_that_do_not_fit_are_refused(catalog: sl.Catalog, tmp_path: Path) -> None:
    frame = pl.read_parquet(SKETCHES).filter(pl.col("model") == "mtcnn-pnet")
    for changed, message in (
        (frame.drop("counts"), "column counts is missing"),
        (frame.with_columns(pl.col("gram_raw").list.head(7)), "column gram_raw has 7 entries"),
        (frame.with_columns(pl.col("n") + 1), "histograms do not count"),
    ):
        changed.write_parquet(tmp_path / "s.parquet")
        with pytest.raises(BadInputError, match=rf"s\.parquet: .*{message}"):
            catalog.ingest_models(tmp_path / "s.parquet")
    (tmp_path / "s.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BadInputError, match=r"cannot read s\.parquet"):
        catalog.ingest_models(tmp_path / "s.parquet")
    assert tables(catalog)["model"] == 0


# -- commands -----------------------------------------------------------------------------------------------
def test_commands_from_weights_to_verdict(cli, tmp_path: Path) -> None:
    for seed in range(4):
        npz(tmp_path / f"m{seed}.npz", seed, shape=1 + 2 * (seed // 2))
    folder = {"SHIFTLAB_CATALOG": str(tmp_path / "catalog")}
    done = cli("ingest", "models", *sorted(tmp_path.glob("*.npz")), **folder)
    assert done.returncode == 0, done.stderr
    assert "m0: 4 convolutions, 4 with 3x3 kernels, 1,024 filters" in done.stderr
    drift = cli("filters", "drift", "--by", "model >= 'm2'", "--format", "csv", **folder)
    row = pl.read_csv(io.StringIO(drift.stdout)).row(0, named=True)
    assert row["distinguishable"]
    wrong = cli("filters", "show", "m9", **folder)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean" in wrong.stderr


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        ("list", 50), ("show mtcnn-pnet", 5), ("quality --model mtcnn-pnet", 3), ("quality --by format", 5),
        ("quality --sweep", 245), ("basis --by format", 45), ("phenotypes --by format", 5), ("duplicates", 2),
    ],
)  # fmt: skip
def test_every_command_prints_its_rows(bundled: sl.Catalog, command: str, rows: int) -> None:
    from click.testing import CliRunner

    from shiftlab.cli import root

    words = ["--catalog", str(bundled.path), "filters", *command.split(), "--format", "json"]
    result = CliRunner().invoke(root, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == rows


def test_a_malicious_file_is_one_line_on_stderr(cli, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Payload(), 2))
    done = cli("ingest", "models", tmp_path / "evil.pt", SHIFTLAB_CATALOG=str(tmp_path / "catalog"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "evil.pt" in done.stderr
    assert not (tmp_path / "marker").exists()


def test_components_of_a_pair_add_up_to_its_drift(bundled: sl.Catalog, tmp_path: Path) -> None:
    shutil.copytree(bundled.store.path, tmp_path / "copy")
    store = sl.open(tmp_path / "copy").store
    drift = sl.filters.drift_by(store, "category", resamples=40).row(0, named=True)
    parts = sl.filters.components_of_pair(store, "category", drift["left"], drift["right"])
    assert parts["part"].sum() == pytest.approx(drift["drift"], rel=1e-12)
    assert parts["weight"].sum() == pytest.approx(1)
    assert (parts["weight"] @ parts["jensen_shannon"]) == pytest.approx(drift["jensen_shannon"], rel=1e-12)
    same = sl.filters.components_of_pair(store, "category", drift["left"], drift["left"])
    assert same.select("symmetric_kl", "jensen_shannon", "wasserstein").sum().row(0) == (0, 0, 0)
    with pytest.raises(NotFoundError, match="makes no group 'none such'"):
        sl.filters.components_of_pair(store, "category", "none such", drift["left"])


def test_coefficients_of_groups_have_the_moments_of_their_sketches(bundled: sl.Catalog) -> None:
    found = sl.filters.coefficients_by(bundled.store, "category")
    sums = found.group_by("group", "component").agg(pl.col("share").sum())["share"]
    np.testing.assert_allclose(sums, 1, atol=1e-12)
    basis = sl.filters.basis_by(bundled.store, "category")
    assert set(found["group"]) == set(basis["group"])
    sizes = dict(basis.select("group", "n").iter_rows())
    assert all(sizes[name] == n for name, n in found.select("group", "n").unique().iter_rows())
