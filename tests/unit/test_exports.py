"""Subsets and selections in the forms that other tools read, each read back as that tool would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import polars as pl
import pytest
import yaml
from PIL import Image

import shiftlab as sl
from shiftlab.curate import stored
from shiftlab.episodes.export import export as export_episodes
from shiftlab.readers.episodes_open import read_episodes
from tests.conftest import Cli
from tests.readers.test_episodes_readers import lerobot21, lerobot30, minari, steps_frame

COLOURS = {"cat": (200, 80, 0), "dog": (0, 80, 200)}


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> tuple[sl.Catalog, Path]:
    """Forty images of cats and dogs on a sofa or a bed, as COCO annotations with real files in folders."""
    folder = tmp_path_factory.mktemp("pets")
    images, annotations = [], []
    for number in range(40):
        kind, place = ("cat", "dog")[number % 2], 3 + (number // 2) % 2
        name = f"{kind}/{number:02d}.png"
        (folder / "images" / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), COLOURS[kind]).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": 8, "height": 8})
        for category in (1 + number % 2, place):
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": category,
                    "bbox": [0, 0, 4, 4],
                    "iscrowd": 0,
                }
            )
    categories = [
        {"id": k, "name": n, "supercategory": "x"} for k, n in enumerate(("cat", "dog", "sofa", "bed"), 1)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    catalog = sl.open(folder / "catalog")
    catalog.ingest_images(folder / "instances.json", "pets", licence="CC-BY-4.0")
    catalog.build_subsets("pets", min_images=5, min_subsets=2)
    catalog.curate("mixture", "mix", subsets=["cat(sofa)", "dog(bed)"], weights=[3, 1], total=12)
    return catalog, folder


def test_csv_and_parquet_hold_the_same_items(pets: tuple[sl.Catalog, Path], tmp_path: Path) -> None:
    catalog, _ = pets
    table = pl.read_csv(stored.export(catalog.store, "mix", "csv", tmp_path / "mix.csv"), infer_schema=False)
    same = pl.read_parquet(stored.export(catalog.store, "mix", "parquet", tmp_path / "mix.parquet"))
    assert table.columns == same.columns == ["item", "file", "weight"]
    assert table["item"].to_list() == same["item"].to_list()
    assert len(table) == 12
    assert table["file"].to_list() == [
        f"{('cat', 'dog')[int(i) % 2]}/{int(i):02d}.png" for i in table["item"]
    ]


def test_image_folder_lists_lead_to_a_folder_that_loads(
    pets: tuple[sl.Catalog, Path], tmp_path: Path
) -> None:
    """files.txt copies the images beside metadata.csv, whose file_name joins them, as ImageFolder loaders want."""
    catalog, folder = pets
    out = stored.export(catalog.store, "mix", "imagefolder", tmp_path / "mix")
    for line in (out / "files.txt").read_text().splitlines():
        (out / line).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / "images" / line, out / line)
    table = pl.read_csv(out / "metadata.csv")
    assert sorted(table["file_name"]) == sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png"))
    assert table["subset"].unique().to_list() == ["mix"]
    for name in table["file_name"]:
        assert Image.open(out / name).getpixel((0, 0)) == COLOURS[name.split("/")[0]]


def test_hugging_face_card_names_its_data(pets: tuple[sl.Catalog, Path], tmp_path: Path) -> None:
    catalog, _ = pets
    out = stored.export(catalog.store, "cat(sofa)", "huggingface", tmp_path / "hub")
    _, front, page = (out / "README.md").read_text().split("---\n")
    card = yaml.safe_load(front)
    assert card["license"] == "cc-by-4.0"
    assert card["size_categories"] == ["n<1K"]
    (config,) = card["configs"]
    (split,) = config["data_files"]
    rows = pl.read_parquet(out / split["path"])
    assert f"{len(rows)} items of the data set pets" in page
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "README.md", "data/train.parquet", "recipe.json",
    ]  # fmt: skip


def test_recipes_tell_how_to_make_it_again(pets: tuple[sl.Catalog, Path], tmp_path: Path) -> None:
    catalog, _ = pets
    stored.export(catalog.store, "mix", "ids", tmp_path / "mix.txt")
    made = json.loads((tmp_path / "mix.txt.recipe.json").read_text())
    assert (made["operation"], made["params"]["total"]) == ("mixture", 12)
    assert set(made["parents"]) == {"cat(sofa)", "dog(bed)"}
    stored.export(catalog.store, "cat(sofa)", "ids", tmp_path / "sofa.txt")
    built = json.loads((tmp_path / "sofa.txt.recipe.json").read_text())
    assert (built["operation"], built["params"]["min_images"]) == ("subsets build", 5)
    assert built["inputs"]


@pytest.mark.parametrize("maker", [lerobot21, lerobot30])
def test_lerobot_episode_lists_name_the_episodes_of_the_source(maker, tmp_path: Path, cli: Cli) -> None:
    root = maker(tmp_path / "so100", steps_frame())
    at = ("--catalog", tmp_path / "catalog")
    assert cli(*at, "ingest", "episodes", root, "--dataset", "arm").returncode == 0
    made = cli(*at, "episodes", "curate", "arm", "--keep", "2", "--by", "shortest", "--name", "two")
    assert made.returncode == 0, made.stderr
    done = cli(*at, "episodes", "export", "two", "--to", "lerobot", "-o", tmp_path / "episodes.json")
    assert done.returncode == 0, done.stderr
    listed = json.loads((tmp_path / "episodes.json").read_text())
    lengths = read_episodes(root).episodes.sort("length")
    assert sorted(listed) == sorted(lengths["episode_index"].head(2))
    recipe = json.loads((tmp_path / "episodes.json.recipe.json").read_text())
    assert list(recipe["dropped"].values()) == ["rank 3 of 3 by shortest, the budget is 2"]


def test_minari_lists_hold_the_ids_that_iterate_episodes_takes(tmp_path: Path) -> None:
    catalog = sl.open(tmp_path / "catalog")
    catalog.ingest_episodes(minari(tmp_path / "door"), "door")
    kept = catalog.curate_episodes("door", "one", keep=1, by="shortest")
    out = export_episodes(catalog.store, kept, "minari", tmp_path / "ids.json")
    (chosen,) = json.loads(out.read_text())
    with h5py.File(tmp_path / "door" / "data" / "main_data.hdf5") as file:
        steps = {int(name.removeprefix("episode_")): len(one["actions"]) for name, one in file.items()}
    assert steps[chosen] == min(steps.values())


def test_results_and_subsets_as_arrow_numpy_and_pandas(pets: tuple[sl.Catalog, Path]) -> None:
    catalog, _ = pets
    result = catalog.sql("select external_id, dataset from item order by item_id")
    assert result.arrow().column_names == result.pandas().columns.to_list() == result.pl().columns
    assert result.numpy()["external_id"].tolist() == result.pl()["external_id"].to_list()
    subset = catalog.subset("mix")
    assert subset.arrow().num_rows == len(subset.pandas()) == len(subset.numpy()["weight"]) == 12
