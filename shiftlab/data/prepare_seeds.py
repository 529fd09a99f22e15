"""Makes the bundled data of the worked examples: ``python -m shiftlab.data.prepare_seeds SOURCES``.

SOURCES as for `shiftlab.data.prepare`. Each data set keeps its origin and licence beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from shiftlab.data.prepare import HERE, with_notices

STATEMENT_DIM = 16


def main(sources: Path) -> None:
    statements(sources, HERE / "truth_statements")
    bugs(sources / "bugs", HERE / "bug_patches")
    testbed(sources / "imagenet_testbed", HERE / "imagenet_testbed")
    predictions(sources / "imagenetv2_predictions", HERE / "imagenetv2_predictions")
    sentences(sources / "bias_text", HERE / "winogender")
    captions(sources, HERE / "coco_captions")


def statements(sources: Path, target: Path) -> None:
    """Statements with an id, and their vectors cut to the first principal components."""
    with_notices(sources / "truth_statements", target)
    table = pl.read_parquet(sources / "truth_statements" / "statements.parquet")
    ids = [f"{number:05d}" for number in range(len(table))]
    frame = table.select(pl.Series("statement_id", ids), pl.col("domain", "kind").cast(pl.String), "statement",
                         "correct", "negation")  # fmt: skip
    frame.write_parquet(target / "statements.parquet", compression_level=19)
    whole = np.load(sources / "truth_embeddings" / "embeddings_pca128_f16.npy", allow_pickle=False)
    np.savez_compressed(target / "vectors.npz", ids=np.array(ids), vectors=whole[:, :STATEMENT_DIM])
    spread = whole.astype(np.float64).var(0)
    print(f"{STATEMENT_DIM} components hold {spread[:STATEMENT_DIM].sum() / spread.sum():.1%} of those 128")


def bugs(source: Path, target: Path) -> None:
    """Sizes of patches, as they are."""
    with_notices(source, target)
    pl.read_csv(source / "patch_stats.csv", infer_schema_length=None).write_csv(target / "patches.csv")


def testbed(source: Path, target: Path) -> None:
    """Accuracies, as they are."""
    with_notices(source, target)
    table = pl.read_parquet(source / "top1.parquet").with_columns(
        pl.col("model", "eval_setting").cast(pl.String)
    )
    table.sort("eval_setting", "model").write_parquet(target / "top1.parquet", compression_level=19)


def predictions(source: Path, target: Path) -> None:
    """Predictions on the matched-frequency images, with an id."""
    with_notices(source, target)
    table = pl.read_parquet(source / "top1_v2_matched_frequency.parquet")
    ids = pl.Series("image_id", [f"{number:05d}" for number in range(len(table))])
    table.select(ids, pl.all()).write_parquet(target / "matched_frequency.parquet", compression_level=19)


def sentences(source: Path, target: Path) -> None:
    """Winogender's sentences and the share of women in each occupation, as they are."""
    with_notices(source, target)
    (target / "LICENSE.uclanlp_corefBias.txt").unlink()  # of WinoBias, which is left out
    told = (source / "SOURCE.txt").read_text().splitlines(keepends=True)
    (target / "SOURCE.txt").write_text("".join(line for line in told if line.startswith("winogender")))
    pl.read_csv(source / "winogender.csv").write_csv(target / "sentences.csv")
    pl.read_csv(source / "winogender_occupations_stats.tsv", separator="\t").write_csv(
        target / "occupations.csv"
    )


def captions(sources: Path, target: Path) -> None:
    """Captions of COCO images: plain ones, and statements of a spatial relation that are true or false."""
    with_notices(sources / "vsr", target)
    with_notices(sources / "coco_captions_sugarcrepe", target)
    told = pl.read_parquet(sources / "vsr" / "vsr.parquet").select(
        "image_id", "caption", "relation", true="label", source=pl.lit("vsr")
    )
    plain = pl.read_parquet(sources / "coco_captions_sugarcrepe" / "captions.parquet").select(
        "image_id", "caption", relation=pl.lit(None, pl.String), true=pl.lit(None, pl.Boolean),
        source=pl.lit("sugarcrepe"),
    )  # fmt: skip
    every = pl.concat([told, plain.select(told.columns)]).with_columns(
        pl.col("relation", "source").cast(pl.String)
    )
    every.write_parquet(target / "captions.parquet", compression_level=19)
    notes = [(sources / name / "SOURCE.txt").read_text() for name in ("vsr", "coco_captions_sugarcrepe")]
    (target / "SOURCE.txt").write_text("\n".join(notes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
