"""The first run: a catalog from the bundled real data, and three findings to start from.

Every stage is idempotent, so a second run finds its work done; a run that was cut off goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from shiftlab import api, queries, resources
from shiftlab.api import Catalog
from shiftlab.errors import BadInputError

IMAGES = "coco"
ATTRIBUTES = "metashift"
GARMENTS = "fashion"
EPISODES = "adroit_door"
SPACE = "captions"
CLASSES = ("cat", "dog")
GARMENT = "coat"
_MATRICES = {"sliced_wasserstein": "captions", "jensen_shannon": "objects"}
_MIN_ITEMS = 30
_WEIGHTS = ("pnet.pt", "ACS-WFC.pth")

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, how many stages are done, and how many there are."""


@dataclass(frozen=True)
class Finding:
    """Something worth a look: what was found, the command that shows it, the page and its state."""

    text: str
    command: str
    page: str
    state: dict[str, str]


def build(folder: str | Path, progress: Progress = lambda *_: None) -> Catalog:
    """The demo catalog in `folder`, built as far as it is not there yet."""
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "catalog.duckdb").exists():
        raise BadInputError(f"the folder '{folder}' holds other files; name a new folder: shiftlab demo DIR")
    catalog = api.open(folder)
    stages = list(_stages(catalog))
    for number, (name, work) in enumerate(stages):
        progress(name, number, len(stages))
        work()
    progress("done", len(stages), len(stages))
    return catalog


def _stages(catalog: Catalog) -> Iterator[tuple[str, Callable[[], Any]]]:
    coco = resources.data("coco14_image_labels") / "image_objects.parquet"
    captions = resources.data("caption_embeddings") / "caption_vectors.npz"
    metashift = resources.data("metashift_vg_attributes") / "attribute_subsets.parquet"
    sketches = resources.data("cnn_filters") / "sketches.parquet"
    episodes = resources.data("adroit_door_human") / "episodes.parquet"
    yield (
        "COCO 2014: 122,218 images with 80 objects",
        lambda: catalog.ingest_images(coco, IMAGES, licence="CC-BY-4.0"),
    )
    yield "caption vectors of 7,727 images", lambda: catalog.ingest_vectors(captions, IMAGES, SPACE)
    yield (
        "MetaShift: attributes in 59,663 images",
        lambda: catalog.ingest_images(metashift, ATTRIBUTES, licence="CC-BY-4.0"),
    )
    yield "subsets by object: overlaps, meta-graphs, distances", lambda: catalog.build_subsets(IMAGES)
    yield "subsets by attribute", lambda: catalog.build_subsets(ATTRIBUTES, "attributes", min_subsets=6)
    for subject, (measure, what) in product(CLASSES, _MATRICES.items()):
        yield (
            f"shift between all subsets of {subject}: {what}",
            partial(_matrix, catalog, IMAGES, subject, measure),
        )
    yield "the farthest pairs, tested", lambda: [_tested(catalog, *one) for one in _TESTED]
    yield "Fashion-MNIST: 10,000 pictures of garments", partial(_garments, catalog)
    yield f"shift between all subsets of {GARMENT}: pixels", partial(_garment_shift, catalog)
    yield "kernels of 50 trained networks", lambda: catalog.ingest_models(sketches)
    yield (
        "single filters of two of them",
        lambda: catalog.ingest_models([sketches.parent / one for one in _WEIGHTS], keep_filters=True),
    )
    yield (
        "25 demonstrations of a robot hand",
        lambda: catalog.ingest_episodes(episodes, EPISODES, licence="Apache-2.0"),
    )
    yield "scores of the demonstrations", partial(_score_episodes, catalog)


_TESTED = (("cat", "sliced_wasserstein", SPACE), ("dog", "jensen_shannon", None))


def findings(catalog: Catalog) -> list[Finding]:
    """Three things that the demo catalog shows, read from what is stored: a shift, a layer, an episode."""
    return [_shift_finding(catalog, *_TESTED[0]), _layer_finding(catalog), _episode_finding(catalog)]


def _matrix(catalog: Catalog, dataset: str, subject: str, measure: str) -> None:
    done = catalog.sql(
        "select count(*) from scores where dataset = $d and measure = $m and left_name like $c",
        {"d": dataset, "m": measure, "c": f"{subject}(%"},
    ).rows()[0][0]
    if not done:
        catalog.matrix(measure, subject=subject, dataset=dataset)


def _garments(catalog: Catalog) -> None:
    """Items with attributes measured in their pixels, the pictures, principal components of the pixels, subsets."""
    folder = resources.data("fashion_mnist_t10k")
    catalog.ingest_images(folder / "items.parquet", GARMENTS, licence="MIT")
    catalog.ingest_pictures(folder / "pictures.npz", GARMENTS)
    catalog.ingest_vectors(folder / "pixel_vectors.npz", GARMENTS, "pixels")
    catalog.build_subsets(GARMENTS, "attributes", min_subsets=6)


def _garment_shift(catalog: Catalog) -> None:
    _matrix(catalog, GARMENTS, GARMENT, "sliced_wasserstein")
    _tested(catalog, GARMENT, "sliced_wasserstein", "pixels", GARMENTS)


def _farthest(catalog: Catalog, dataset: str, subject: str, measure: str) -> tuple[str, str]:
    with catalog.store.read() as con:
        rows = con.sql(
            queries.sql("farthest_scored_pair"),
            params={"measure": measure, "dataset": dataset, "class": subject, "min_items": _MIN_ITEMS},
        ).fetchall()
    return rows[0]


def _tested(
    catalog: Catalog, subject: str, measure: str, space: str | None, dataset: str = IMAGES
) -> tuple[Any, ...]:
    """The stored test of the farthest pair of a class; made if it is not there."""
    left, right = _farthest(catalog, dataset, subject, measure)
    query = (
        "select value, null_mean, p, n_left, n_right, left_name, right_name from scores where measure = $m "
        "and dataset = $d and left_name = $l and right_name = $r and p is not null order by score_id desc limit 1"
    )
    values = {"m": measure, "d": dataset, "l": left, "r": right}
    found = catalog.sql(query, values).rows()
    if not found:
        catalog.compare(left, right, measure=measure, space=space, dataset=dataset)
        found = catalog.sql(query, values).rows()
    return found[0]


def _shift_finding(catalog: Catalog, subject: str, measure: str, space: str | None) -> Finding:
    value, null_mean, p, n_left, n_right, left, right = _tested(catalog, subject, measure, space)
    what = f"by their {space}" if space else "by the other objects in them"
    name = measure.replace("_", " ")
    return Finding(
        f"{left} and {right} are the most different {subject} subsets {what}: {name} {value:.3f} "
        f"where chance gives {null_mean:.3f} (p = {p:.3f}, n = {n_left} and {n_right})",
        f"shiftlab shift '{left}' '{right}' --measure {measure}" + (f" --space {space}" if space else ""),
        "pair",
        {"dataset": IMAGES, "left": left, "right": right},
    )


def _score_episodes(catalog: Catalog) -> None:
    scored = catalog.sql("select count(*) from episode_score where dataset = $d", {"d": EPISODES}).rows()[0][
        0
    ]
    if not scored:
        catalog.score_episodes([EPISODES])


def _layer_finding(catalog: Catalog) -> Finding:
    """The large 3x3 layer with the least diverse filters, among regular convolutions."""
    with catalog.store.read() as con:
        model, layer, n, entropy = con.sql(queries.sql("least_diverse_layer")).fetchall()[0]
    return Finding(
        f"among the 3x3 layers of 50 networks, {layer} of {model} has the least diverse filters: variance entropy "
        f"{entropy:.3f} of at most 0.954 over {n:,} filters",
        f"shiftlab filters show {model}",
        "filters",
        {"model": model},
    )


def _episode_finding(catalog: Catalog) -> Finding:
    """The episode with the least predictable actions, with how far that can be told."""
    with catalog.store.read() as con:
        index, value, low, high, rank_low, rank_high, count, verdict = con.sql(
            queries.sql("least_consistent_episode"), params={"dataset": EPISODES}
        ).fetchall()[0]
    return Finding(
        f"episode {index} of {EPISODES} has the least consistent actions of {count}: variance {value:.1f} "
        f"[{low:.1f}, {high:.1f}], rank {rank_low} to {rank_high}; verdict: {verdict}",
        f"shiftlab episodes list {EPISODES}",
        "episodes",
        {"dataset": EPISODES, "episode": str(index)},
    )
