"""Training frames are what was put in, and a window never leaves its run."""

import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import picture
from vidcolor.dataset.dataset import (
    FolderFrames,
    PackedFrames,
    Run,
    describe_dataset,
    list_datasets,
    open_frames,
    window_indices,
)
from vidcolor.dataset.manifest import (
    MANIFEST_NAME,
    UNFINISHED_NAME,
    DatasetSource,
    Manifest,
    Split,
    Stretch,
    frame_path,
    manifest_from_json,
    read_manifest,
    write_manifest,
)
from vidcolor.dataset.pack import add_stills, pack_dataset
from vidcolor.errors import InputError, OutputError
from vidcolor.images.image_files import RgbImage, encode_picture, read_picture


def write_png(path: Path, rgb) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_picture(rgb, "png"))
    return path


def make_dataset(data: Path, name: str = "toy", sizes=((48, 64),)):
    """Write a dataset of one film a size, each with 5 train frames in 2 runs and 2 test frames."""
    frames: dict[Split, list[RgbImage]] = {"train": [], "test": []}
    stretches: dict[Split, list[Stretch]] = {"train": [], "test": []}
    runs: dict[Split, tuple[int, ...]] = {"train": (3, 2), "test": (2,)}
    for source, (height, width) in enumerate(sizes):
        for split, counts in runs.items():
            for shot, count in enumerate(counts):
                first = len(frames[split]) + 1
                stretches[split].append(Stretch(first=first, count=count, source=source))
                frames[split] += [picture(n, shot, width, height) for n in range(count)]
    for split, pictures in frames.items():
        for number, rgb in enumerate(pictures, start=1):
            write_png(frame_path(data / name, split, number, "png"), rgb)
    sources = tuple(
        DatasetSource(film=f"film{n}.mkv", fingerprint=str(n), width=width, height=height)
        for n, (height, width) in enumerate(sizes)
    )
    train, test = (tuple(found) for found in stretches.values())
    manifest = Manifest(name=name, format="png", size=48, sources=sources, train=train, test=test)
    write_manifest(data / name, manifest)
    return frames


def same(table, pictures) -> bool:
    return len(table) == len(pictures) and all(
        np.array_equal(table.read(index), rgb) for index, rgb in enumerate(pictures)
    )


@given(counts=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_a_window_never_leaves_its_run_and_is_three_neighbours_inside(counts):
    firsts = np.cumsum([0, *counts[:-1]]).tolist()
    runs = [Run(first, count, 0) for first, count in zip(firsts, counts, strict=True)]
    table = FolderFrames([Path("x")] * sum(counts), runs, ["film"])
    for run in runs:
        for index in range(run.first, run.first + run.count):
            previous, current, following = window_indices(table, index)
            assert current == index
            assert previous == (index if index == run.first else index - 1)
            assert following == (index if index == run.first + run.count - 1 else index + 1)


def test_a_datasets_frames_and_runs_are_read_back(tmp_path):
    frames = make_dataset(tmp_path)
    table = open_frames("toy", "train", tmp_path)
    assert same(table, frames["train"])
    assert table.runs == (Run(0, 3, 0), Run(3, 2, 0))
    assert table.source_names == ("film0.mkv",)
    assert same(open_frames("toy", "test", tmp_path), frames["test"])
    assert same(open_frames(tmp_path / "toy", "test", Path("elsewhere")), frames["test"])


def test_a_pack_holds_the_same_frames_and_runs_as_its_folder(tmp_path):
    frames = make_dataset(tmp_path)
    folder = open_frames("toy", "train", tmp_path)
    assert pack_dataset("toy", tmp_path) == tmp_path / "toy.h5"
    packed = open_frames("toy", "train", tmp_path)
    assert isinstance(packed, PackedFrames)
    assert same(packed, frames["train"])
    assert (packed.runs, packed.source_names) == (folder.runs, folder.source_names)
    assert same(open_frames(tmp_path / "toy.h5", "test", Path("elsewhere")), frames["test"])


def test_a_pack_has_the_tables_that_other_programs_expect(tmp_path):
    make_dataset(tmp_path)
    with h5py.File(pack_dataset("toy", tmp_path)) as file:
        assert (file["Train"].shape, file["Train"].dtype) == ((5, 48, 64, 3), np.uint8)
        assert file["Train"].chunks == (1, 48, 64, 3)
        assert file["Train"].maxshape == (None, 48, 64, 3)
        assert file["Train_runs"][()].tolist() == [[0, 3, 0], [3, 2, 0]]
        assert file["Test_runs"].dtype == np.int32


def test_a_pack_of_films_of_different_shape_has_the_middle_that_all_fill(tmp_path, caplog):
    frames = make_dataset(tmp_path, sizes=((48, 64), (48, 80), (60, 48)))
    with h5py.File(pack_dataset("toy", tmp_path)) as file:
        assert file["Train"].shape == (15, 48, 48, 3)
        assert np.array_equal(file["Train"][0], frames["train"][0][:, 8:56])
        assert np.array_equal(file["Train"][5], frames["train"][5][:, 16:64])
        assert np.array_equal(file["Train"][10], frames["train"][10][6:54])
    assert "packed at 48x48" in caplog.text


def test_a_pack_with_no_test_frames_opens(tmp_path):
    write_png(tmp_path / "one" / "train" / "00001.png", picture(0, 0, 64, 48))
    stretch = Stretch(first=1, count=1, source=0)
    source = DatasetSource(film="a", fingerprint="a", width=64, height=48)
    manifest = Manifest(name="one", format="png", size=48, sources=(source,), train=(stretch,))
    write_manifest(tmp_path / "one", manifest)
    pack_dataset("one", tmp_path)
    assert len(open_frames("one", "train", tmp_path)) == 1
    assert len(open_frames("one", "test", tmp_path)) == 0


def test_a_folder_that_has_grown_is_read_in_place_of_its_old_pack(tmp_path):
    make_dataset(tmp_path)
    pack_dataset("toy", tmp_path)
    frames = make_dataset(tmp_path, sizes=((48, 64), (48, 64)))
    assert same(open_frames("toy", "train", tmp_path), frames["train"])


def test_a_pack_opened_in_one_process_is_read_in_another(tmp_path):
    frames = make_dataset(tmp_path)
    pack_dataset("toy", tmp_path)
    table = open_frames("toy", "train", tmp_path)
    table.read(0)
    assert same(pickle.loads(pickle.dumps(table)), frames["train"])  # noqa: S301


def test_a_pack_that_fails_leaves_the_old_one(tmp_path):
    frames = make_dataset(tmp_path)
    pack_dataset("toy", tmp_path)
    frame_path(tmp_path / "toy", "test", 2, "png").write_bytes(b"")
    with pytest.raises(InputError, match=r"00002\.png.*not a picture"):
        pack_dataset("toy", tmp_path)
    assert same(open_frames(tmp_path / "toy.h5", "train", tmp_path), frames["train"])
    assert not list(tmp_path.glob(".*"))


def test_a_pack_is_read_without_film_and_picture_libraries(tmp_path):
    make_dataset(tmp_path)
    pack_dataset("toy", tmp_path)
    program = f"""
import sys
sys.modules.update(dict.fromkeys(["av", "ffmpeg", "cv2", "torch"]))  # importing them fails
from pathlib import Path
from vidcolor.dataset.dataset import open_frames
print(open_frames("toy", "train", Path({str(tmp_path)!r})).read(4).shape)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "(48, 64, 3)"


def test_a_plain_folder_is_read_in_number_order_and_cut_into_runs(tmp_path):
    shots = [0] * 6 + [1] * 6
    for number, shot in enumerate(shots, start=1):
        write_png(tmp_path / "mine" / f"f{number}.png", picture(number, shot, 64, 48))
    table = open_frames(tmp_path / "mine", "train", tmp_path)
    assert same(table, [picture(n, shot, 64, 48) for n, shot in enumerate(shots, start=1)])
    assert table.runs == (Run(0, 6, 0), Run(6, 6, 0))
    assert len(open_frames(tmp_path / "mine", "test", tmp_path)) == 0


def test_a_run_of_a_plain_folder_has_one_size(tmp_path):
    for number, width in enumerate((64, 64, 72), start=1):
        write_png(tmp_path / "mine" / f"{number}.png", picture(0, 0, width, 48))
    table = open_frames("mine", "train", tmp_path)
    assert [run.count for run in table.runs] == [2, 1]


def test_train_and_val_folders_without_a_manifest_are_splits(tmp_path):
    write_png(tmp_path / "mine" / "train" / "00001.png", picture(0, 0, 64, 48))
    write_png(tmp_path / "mine" / "val" / "10001.png", picture(9, 1, 64, 48))
    assert same(open_frames("mine", "train", tmp_path), [picture(0, 0, 64, 48)])
    assert same(open_frames("mine", "test", tmp_path), [picture(9, 1, 64, 48)])


def test_a_missing_dataset_names_those_there_are_and_how_to_make_it(tmp_path):
    make_dataset(tmp_path)
    with pytest.raises(InputError, match=r"available: toy.*extract FILM --dataset zootopia"):
        open_frames("zootopia", "train", tmp_path)


def test_an_unfinished_extraction_is_not_trained_on(tmp_path):
    (tmp_path / "toy" / UNFINISHED_NAME).mkdir(parents=True)
    with pytest.raises(InputError, match="not finished"):
        open_frames("toy", "train", tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="has no frames"):
        open_frames("mine", "train", tmp_path)


def test_a_foreign_or_broken_pack_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "broken.h5").write_bytes(b"no")
    for name, words in (("other", "not a packed dataset"), ("broken", "not a packed dataset")):
        with pytest.raises(InputError, match=words):
            open_frames(name, "train", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "name": 2, "t'])
def test_a_damaged_manifest_is_named(tmp_path, text):
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(InputError, match=f"{tmp_path.name}.*damaged"):
        read_manifest(tmp_path)


def test_a_newer_manifest_asks_for_an_update(tmp_path):
    (tmp_path / MANIFEST_NAME).write_text('{"version": 99}')
    with pytest.raises(InputError, match=r"version 99.*update"):
        read_manifest(tmp_path)


numbers = st.integers(0, 2**40)
stretches = st.builds(
    Stretch, first=numbers, count=numbers, source=numbers, pts=st.lists(numbers).map(tuple)
)
sources = st.builds(
    DatasetSource,
    film=st.text(),
    fingerprint=st.text(),
    width=numbers,
    height=numbers,
    every=numbers,
)


@given(
    st.builds(
        Manifest,
        name=st.text(),
        format=st.just("jpg"),
        size=numbers,
        sources=st.lists(sources, max_size=3).map(tuple),
        train=st.lists(stretches, max_size=3).map(tuple),
        test=st.lists(stretches, max_size=3).map(tuple),
    )
)
def test_a_manifest_survives_being_written_and_read(manifest):
    assert manifest_from_json(manifest.to_json(), where=Path("x")) == manifest


def test_photos_become_runs_of_one_and_folders_become_sources(tmp_path):
    for folder, numbers in {"food": (1, 2), "people": (10, 9)}.items():
        for number in numbers:
            write_png(tmp_path / folder / f"{number}.png", picture(number, 0, 120, 90))
    folders = [tmp_path / "food", tmp_path / "people"]
    data = tmp_path / "data"
    added = add_stills(folders, dataset="stills", data=data, size=48, split="train")
    table = open_frames("stills", "train", data)
    assert added.photos == len(table) == 4
    assert table.runs == tuple(Run(n, 1, n // 2) for n in range(4))
    assert table.source_names == ("food", "people")
    assert table.read(0).shape == (48, 64, 3)


def test_grey_and_damaged_photos_are_left_out_and_counted(tmp_path):
    photos, data = tmp_path / "photos", tmp_path / "data"
    write_png(photos / "1.png", picture(0, 0, 64, 48))
    write_png(photos / "2.png", np.repeat(picture(0, 0, 64, 48)[:, :, :1], 3, axis=2))
    (photos / "3.jpg").write_bytes(b"no picture")
    added = add_stills([photos], dataset="stills", data=data, size=48, split="test")
    assert (added.photos, added.grey, added.damaged) == (1, 1, 1)
    assert len(open_frames("stills", "test", data)) == 1


def test_photos_are_not_added_twice_nor_beside_frames_of_another_kind(tmp_path):
    photos = tmp_path / "photos"
    write_png(photos / "1.png", picture(0, 0, 64, 48))
    add_stills([photos], dataset="stills", data=tmp_path, size=48, split="train")
    with pytest.raises(InputError, match="already"):
        add_stills([photos], dataset="stills", data=tmp_path, size=48, split="train")
    with pytest.raises(OutputError, match="size 48"):
        add_stills([photos], dataset="stills", data=tmp_path, size=96, split="train")
    with pytest.raises(InputError, match="no such folder"):
        add_stills([tmp_path / "none"], dataset="other", data=tmp_path, size=48, split="train")


def test_datasets_are_listed_and_described(tmp_path):
    make_dataset(tmp_path, "b")
    make_dataset(tmp_path, "a", sizes=((48, 64), (48, 64)))
    pack_dataset("a", tmp_path)
    a, b = list_datasets(tmp_path)
    assert (a.name, a.is_packed, a.train_frames, a.test_frames, a.runs) == ("a", True, 10, 4, 6)
    assert (b.name, b.is_packed, b.width, b.height) == ("b", False, 64, 48)
    assert str(describe_dataset("b", tmp_path)).startswith("b: 5 training frames, 2 test frames")
    assert list_datasets(tmp_path / "none") == ()


def test_a_jpeg_keeps_full_chroma(tmp_path):
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 60, 200)
    (tmp_path / "a.jpg").write_bytes(encode_picture(stripes, "jpg"))
    difference = np.abs(read_picture(tmp_path / "a.jpg").astype(int) - stripes)
    assert difference.mean() < 6
    cv2.imwrite(str(tmp_path / "usual.jpg"), stripes[:, :, ::-1])
    assert np.abs(read_picture(tmp_path / "usual.jpg").astype(int) - stripes).mean() > 20
