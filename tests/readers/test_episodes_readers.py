"""Readers of demonstrations on files written here in each format's layout, and on crafted bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftlab import resources
from shiftlab.errors import BadInputError
from shiftlab.readers.episodes_data import strict_json
from shiftlab.readers.episodes_open import detect, read_episodes

RNG = np.random.default_rng(0)
LENGTHS = (7, 5, 6)


def steps_frame(lengths=LENGTHS, ds=3, da=2) -> pl.DataFrame:
    n = sum(lengths)
    return pl.DataFrame(
        {
            "observation.state": pl.Series(
                RNG.normal(size=(n, ds)).astype("f4"), dtype=pl.Array(pl.Float32, ds)
            ),
            "action": pl.Series(RNG.normal(size=(n, da)).astype("f4"), dtype=pl.Array(pl.Float32, da)),
            "timestamp": np.concatenate([np.arange(k) / 10 for k in lengths]).astype("f4"),
            "frame_index": np.concatenate([np.arange(k) for k in lengths]),
            "episode_index": np.repeat(np.arange(len(lengths)), lengths),
            "task_index": np.repeat(np.arange(len(lengths)) % 2, lengths),
        }
    )


def lerobot21(root: Path, frame: pl.DataFrame, **info) -> Path:
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    template = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    meta = {"codebase_version": "v2.1", "robot_type": "so100", "fps": 10, "data_path": template}
    meta |= {"total_episodes": frame["episode_index"].n_unique(), "total_frames": len(frame)} | info
    (root / "meta/info.json").write_text(json.dumps(meta))
    episodes = []
    for (e,), part in frame.group_by("episode_index", maintain_order=True):
        part.write_parquet(root / f"data/chunk-000/episode_{e:06d}.parquet")
        episodes.append({"episode_index": e, "tasks": [f"task {e % 2}"], "length": len(part)})
    (root / "meta/episodes.jsonl").write_text("\n".join(json.dumps(e) for e in episodes))
    tasks = [{"task_index": i, "task": f"task {i}"} for i in range(2)]
    (root / "meta/tasks.jsonl").write_text("\n".join(json.dumps(t) for t in tasks))
    return root


def lerobot30(root: Path, frame: pl.DataFrame) -> Path:
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    info = {
        "codebase_version": "v3.0",
        "fps": 10,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    cut = frame["episode_index"] < 2
    frame.filter(cut).write_parquet(root / "data/chunk-000/file-000.parquet")
    frame.filter(~cut).write_parquet(root / "data/chunk-000/file-001.parquet")
    pl.DataFrame({"task_index": [0, 1], "__index_level_0__": ["task 0", "task 1"]}).write_parquet(
        root / "meta/tasks.parquet"
    )
    frame.group_by("episode_index", maintain_order=True).agg(length=pl.len()).with_columns(
        tasks=pl.concat_list(pl.format("task {}", pl.col("episode_index") % 2))
    ).write_parquet(root / "meta/episodes/chunk-000/file-000.parquet")
    return root


def robomimic(path: Path, lengths=LENGTHS, *, mask: bool = True) -> dict[str, np.ndarray]:
    written = {}
    with h5py.File(path, "w") as f:
        data = f.create_group("data")
        data.attrs["total"] = sum(lengths)
        data.attrs["env_args"] = json.dumps(
            {"env_name": "Square", "env_kwargs": {"control_freq": 20, "robots": "Panda"}}
        )
        for i, n in enumerate(lengths):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"] = n
            written[f"demo_{i}"] = RNG.normal(size=(n, 7)).astype("f4")
            demo["actions"] = written[f"demo_{i}"]
            demo["states"] = RNG.normal(size=(n, 9))
            demo["rewards"] = np.r_[np.zeros(n - 1), i % 2]
            for key, d in (("robot0_eef_pos", 3), ("robot0_eef_quat", 4), ("object", 14)):
                demo[f"obs/{key}"] = RNG.normal(size=(n, d))
            demo["obs/agentview_image"] = np.zeros((n, 4, 4, 3), dtype="u1")
        if mask:
            f["mask/better"] = np.array(["demo_0"], dtype="S")
            f["mask/better_operator_1"] = np.array(["demo_0", "demo_1"], dtype="S")
    return written


def minari(root: Path) -> Path:
    (root / "data").mkdir(parents=True)
    (root / "data/metadata.json").write_text(
        json.dumps({"data_format": "hdf5", "total_episodes": 3, "total_steps": sum(LENGTHS)})
    )
    with h5py.File(root / "data/main_data.hdf5", "w") as f:
        for i, n in enumerate(LENGTHS):
            g = f.create_group(f"episode_{i}")
            g["observations/observation"] = RNG.normal(size=(n + 1, 4))
            g["observations/desired_goal"] = RNG.normal(size=(n + 1, 2))
            g["actions"] = RNG.normal(size=(n, 3))
            g["rewards"] = np.ones(n)
    return root


def test_lerobot_versions_give_the_same_steps_tasks_and_rate(tmp_path):
    frame = steps_frame()
    old, new = (
        read_episodes(maker(tmp_path / name, frame)) for maker, name in ((lerobot21, "a"), (lerobot30, "b"))
    )
    for data in (old, new):
        assert data.format == "lerobot"
        assert data.fps == 10
        assert not data.problems
        np.testing.assert_array_equal(data.steps["state"].to_numpy(), frame["observation.state"].to_numpy())
        assert data.episodes["task"].to_list() == ["task 0", "task 1", "task 0"]
        assert data.episodes["length"].to_list() == list(LENGTHS)
    assert old.robot_type == "so100"
    assert new.episodes["src_file"].to_list() == ["data/chunk-000/file-000.parquet"] * 2 + [
        "data/chunk-000/file-001.parquet"
    ]


def test_the_data_win_over_metadata_and_each_case_is_listed(tmp_path):
    root = lerobot21(tmp_path / "d", steps_frame(), total_frames=999)
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    row = json.loads(lines[1]) | {"length": 50, "tasks": []}
    more = {"episode_index": 9, "length": 4, "tasks": ["t"]}
    (root / "meta/episodes.jsonl").write_text("\n".join([lines[0], json.dumps(row), json.dumps(more)]))
    data = read_episodes(root)
    found = {(p.problem, p.record) for p in data.problems}
    assert ("stated length differs", "episode 1") in found
    assert ("episode not in the metadata", "episode 2") in found
    assert ("episode without steps", "episode 9") in found
    assert ("total differs", "meta/info.json total_frames") in found
    assert data.episodes["length"].to_list() == [*LENGTHS, 0]
    assert len(data.steps) == sum(LENGTHS)


@pytest.mark.parametrize(("maker", "file"), [(lerobot21, "tasks.jsonl"), (lerobot30, "tasks.parquet")])
def test_missing_tasks_are_told_and_the_episodes_stay(tmp_path, maker, file):
    root = maker(tmp_path / "d", steps_frame())
    (root / "meta" / file).unlink()
    data = read_episodes(root)
    assert [p.problem for p in data.problems] == ["no list of tasks"]
    assert data.episodes["length"].to_list() == list(LENGTHS)
    assert data.episodes["task"].to_list() == ["task 0", "task 1", "task 0"]  # the episodes name theirs


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("../secret/{episode_index}.parquet", "inside"),
        ("/etc/{episode_index}.parquet", "inside"),
        ("data/{robot_type}/{episode_index}.parquet", "other fields"),
        ("data/{episode_index.__class__}.parquet", "other fields"),
    ],
)
def test_lerobot_templates_cannot_leave_the_folder(tmp_path, template, word):
    root = lerobot21(tmp_path / "d", steps_frame(), data_path=template)
    with pytest.raises(BadInputError, match=word):
        read_episodes(root)


def test_lerobot_links_out_of_the_folder_are_refused(tmp_path):
    outside = tmp_path / "outside.parquet"
    steps_frame().write_parquet(outside)
    root = lerobot21(tmp_path / "d", steps_frame())
    (root / "data/chunk-000/episode_000001.parquet").unlink()
    (root / "data/chunk-000/episode_000001.parquet").symlink_to(outside)
    with pytest.raises(BadInputError, match="outside"):
        read_episodes(root)


def test_lerobot_old_list_columns_and_ragged_ones(tmp_path):
    frame = steps_frame().with_columns(pl.col("observation.state").arr.to_list())
    assert read_episodes(lerobot21(tmp_path / "a", frame)).state_dim == 3
    rows = frame["observation.state"].to_list()
    rows[9] = rows[9][:2]
    ragged = frame.with_columns(pl.Series("observation.state", rows, dtype=pl.List(pl.Float32)))
    with pytest.raises(BadInputError, match=r"episode 1 frame 2"):
        read_episodes(lerobot21(tmp_path / "b", ragged))


def test_lerobot_width_that_differs_between_files_names_the_file(tmp_path):
    root = lerobot21(tmp_path / "d", steps_frame())
    steps_frame((4,), ds=5).write_parquet(root / "data/chunk-000/episode_000001.parquet")
    with pytest.raises(BadInputError, match=r"episode_000001\.parquet"):
        read_episodes(root)


def test_missing_feature_lists_what_is_there(tmp_path):
    root = lerobot21(tmp_path / "d", steps_frame())
    with pytest.raises(BadInputError, match=r"observation\.other.*observation\.state"):
        read_episodes(root, state=["observation.other"])


def test_claims_of_huge_size_are_refused_before_reading(tmp_path):
    root = lerobot21(tmp_path / "d", steps_frame())
    with pytest.raises(BadInputError, match="max_bytes"):
        read_episodes(root, max_bytes=100)


def test_robomimic_keys_operators_labels_and_order(tmp_path):
    lengths = tuple(range(2, 14))
    written = robomimic(tmp_path / "d.hdf5", lengths)
    data = read_episodes(tmp_path / "d.hdf5")
    assert data.state_keys == ("robot0_eef_pos", "robot0_eef_quat", "object")
    assert (data.state_dim, data.action_dim, data.fps, data.robot_type) == (21, 7, 20, "Panda")
    assert data.episodes["src_key"].to_list() == [f"demo_{i}" for i in range(12)]
    assert data.episodes["length"].to_list() == list(lengths)
    last = data.steps.filter(pl.col("episode_index") == 11)["action"].to_numpy()
    np.testing.assert_array_equal(last, written["demo_11"])
    assert data.episodes["label"].to_list()[:2] == ["better", None]
    assert data.episodes["operator"].to_list()[:3] == ["better_operator_1"] * 2 + [None]
    assert data.episodes["success"].to_list()[:2] == [False, True]
    raw = read_episodes(tmp_path / "d.hdf5", state=["states"])
    assert raw.state_dim == 9


def craft(path: Path, kind: str) -> None:
    robomimic(path, mask=False)
    secret = path.parent / "secret.bin"
    secret.write_bytes(b"\x00" * 4096)
    with h5py.File(path, "a") as f:
        demo = f["data/demo_1"]
        del demo["actions"]
        if kind == "external storage":
            demo.create_dataset("actions", (5, 7), "f4", external=[(str(secret), 0, 4096)])
        elif kind == "external link":
            demo["actions"] = h5py.ExternalLink(str(path), "/data/demo_0/actions")
        elif kind == "soft link":
            demo["actions"] = h5py.SoftLink("/data/demo_0/actions")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((5, 7), "f4")
            layout[:] = h5py.VirtualSource(str(path), "/data/demo_0/actions", (7, 7))[:5]
            demo.create_virtual_dataset("actions", layout)
        elif kind == "bomb":
            demo.create_dataset("actions", (10**7, 10**4), "f8", chunks=(1000, 1000), compression="gzip")
        elif kind == "objects":
            demo.create_dataset("actions", (5,), dtype=h5py.string_dtype())
        elif kind == "link in the path":
            del f["data/demo_1"]
            f["data/demo_1"] = h5py.SoftLink("/data/demo_0")


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("external storage", "another file"),
        ("external link", "ExternalLink"),
        ("soft link", "SoftLink"),
        ("virtual", "virtual"),
        ("bomb", "claims shape"),
        ("objects", "not numbers"),
        ("link in the path", "SoftLink"),
    ],
)
def test_crafted_hdf5_is_refused_by_name(tmp_path, kind, word):
    craft(tmp_path / "d.hdf5", kind)
    with pytest.raises(BadInputError, match=word) as caught:
        read_episodes(tmp_path / "d.hdf5")
    assert "demo_1" in str(caught.value)


def test_robomimic_ragged_and_mismatched_demonstrations(tmp_path):
    robomimic(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as f:
        del f["data/demo_2/actions"]
        f["data/demo_2/actions"] = np.zeros((6, 5))
    with pytest.raises(BadInputError, match="7 values in demo_0 but 5 in demo_2"):
        read_episodes(tmp_path / "a.hdf5")
    robomimic(tmp_path / "b.hdf5")
    with h5py.File(tmp_path / "b.hdf5", "a") as f:
        del f["data/demo_1/actions"]
        f["data/demo_1/actions"] = np.zeros((4, 7))
    with pytest.raises(BadInputError, match="demo_1: 5 states but 4 actions"):
        read_episodes(tmp_path / "b.hdf5")


def test_minari_hdf5_leaves_and_final_observation(tmp_path):
    data = read_episodes(minari(tmp_path / "door-v1"))
    assert data.state_dim == 6
    assert data.state_keys == ("desired_goal", "observation")
    assert data.episodes["length"].to_list() == list(LENGTHS)
    assert data.episodes["episode_return"].to_list() == [7.0, 5.0, 6.0]
    only = read_episodes(tmp_path / "door-v1", state=["observation"])
    assert only.state_dim == 4


def test_minari_arrow_equals_its_columns(tmp_path):
    root = tmp_path / "d-v0" / "data"
    actions = {}
    for i, n in enumerate(LENGTHS):
        (root / str(i)).mkdir(parents=True)
        actions[i] = RNG.normal(size=(n, 2))
        pl.DataFrame(
            {
                "observations": RNG.normal(size=(n + 1, 3)).tolist(),
                "actions": [*actions[i].tolist(), None],
                "rewards": [*np.ones(n).tolist(), None],
            }
        ).write_parquet(root / str(i) / "part-0.parquet")
    (root / "metadata.json").write_text(json.dumps({"data_format": "arrow", "total_episodes": 4}))
    data = read_episodes(root.parent)
    assert data.episodes["length"].to_list() == list(LENGTHS)
    np.testing.assert_allclose(data.steps["action"].to_numpy()[:7], actions[0], rtol=1e-6)
    assert [p.problem for p in data.problems] == ["total differs"]


def test_plain_tables_parquet_and_csv_agree(tmp_path):
    frame = steps_frame().with_columns(operator=pl.format("op {}", pl.col("episode_index") % 2))
    frame.write_parquet(tmp_path / "t.parquet")
    flat = frame.select(
        "episode_index",
        "frame_index",
        "operator",
        *(pl.col("observation.state").arr.get(i).alias(f"observation.state.{i}") for i in range(3)),
        *(pl.col("action").arr.get(i).alias(f"action.{i}") for i in range(2)),
    )
    flat.write_csv(tmp_path / "t.csv")
    a, b = read_episodes(tmp_path / "t.parquet"), read_episodes(tmp_path / "t.csv")
    np.testing.assert_allclose(a.steps["state"].to_numpy(), b.steps["state"].to_numpy(), rtol=1e-5)
    assert a.episodes["operator"].to_list() == b.episodes["operator"].to_list() == ["op 0", "op 1", "op 0"]


def test_real_door_demonstrations():
    data = read_episodes(resources.data("adroit_door_human") / "episodes.parquet")
    assert (len(data.steps), data.state_dim, data.action_dim, data.episodes.height) == (6729, 39, 28, 25)
    assert data.episodes["episode_return"].min() == pytest.approx(230, abs=1)
    assert not data.problems


def test_bad_steps_are_reported_and_kept(tmp_path):
    frame = steps_frame().with_columns(
        frame_index=pl.when(pl.arange(0, 18) == 3).then(2).otherwise("frame_index")
    )
    state = frame["observation.state"].to_numpy().copy()
    state[8, 1] = np.nan
    frame = frame.with_columns(pl.Series("observation.state", state, dtype=pl.Array(pl.Float32, 3)))
    frame.filter(pl.col("timestamp") != pl.lit(0.2, pl.Float32)).write_parquet(tmp_path / "t.parquet")
    frame.write_parquet(tmp_path / "u.parquet")
    found = {(p.problem, p.record) for p in read_episodes(tmp_path / "u.parquet").problems}
    assert ("value that is not finite", "episode 1 frame 1") in found
    assert ("frame number repeats", "episode 0 frame 2") in found
    found = {p.problem for p in read_episodes(tmp_path / "t.parquet").problems}
    assert "frames are missing before" in found
    assert len(read_episodes(tmp_path / "u.parquet").steps) == 18


@pytest.mark.parametrize("name", ["x.pkl", "x.npz", "x.pt"])
def test_files_that_can_run_code_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(BadInputError, match="may run code"):
        detect(tmp_path / name)


@pytest.mark.parametrize("name", ["a.hdf5", "b.parquet", "c.csv"])
@given(content=st.binary(max_size=200))
@settings(max_examples=25, deadline=None)
def test_any_bytes_give_an_error_and_no_crash(tmp_path_factory, name, content):
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(content)
    with pytest.raises(BadInputError):
        read_episodes(path)


@pytest.mark.parametrize(
    ("text", "word"),
    [('{"a": NaN}', "NaN"), ('{"a": 1, "a": 2}', "twice"), ("[" * 80 + "]" * 80, "deeper"), ("{", "line 1")],
)
def test_json_that_parsers_disagree_about_is_refused(text, word):
    with pytest.raises(BadInputError, match=word):
        strict_json(text, "x.json")
