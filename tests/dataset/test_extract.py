"""A color film becomes training frames: all of them, upright, timed, and none lost to a kill."""

import errno
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import picture, times_of
from vidcolor.color import lab_from_rgb
from vidcolor.dataset import extract as module
from vidcolor.dataset.dataset import Run, open_frames, window_indices
from vidcolor.dataset.extract import extract
from vidcolor.dataset.extract_journal import Kept, split_sizes, stretches
from vidcolor.dataset.film_source import expected_frames, lightness_of
from vidcolor.dataset.manifest import UNFINISHED_NAME, read_manifest
from vidcolor.errors import InputError, OutputError
from vidcolor.media import ffmpeg
from vidcolor.options.extract import ExtractOptions

# FFmpeg's display matrix: a quarter turn, 16.16 fixed point.
QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


@pytest.fixture
def take(tmp_path):
    """Extract into the test's own folder: `take(film, name="toy", **options)`."""

    def take_here(film, name="toy", **wanted):
        options = ExtractOptions(dataset=name, data=tmp_path / "data", **wanted)
        return extract(film, options)

    return take_here


@pytest.fixture
def manifest_of(tmp_path):
    return lambda name="toy": read_manifest(tmp_path / "data" / name)


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def pts_of(manifest) -> list[int]:
    return [pts for stretch in (*manifest.train, *manifest.test) for pts in stretch.pts]


def seconds_of(manifest) -> list[Fraction]:
    (source,) = manifest.sources
    return [pts * Fraction(source.time_base) for pts in pts_of(manifest)]


def error_of(frame, truth) -> float:
    return float(np.abs(frame.astype(int) - truth).mean())


def test_every_frame_is_kept_and_shows_what_the_film_shows(draw, take, tmp_path):
    film = draw(frames=25, is_color=True, pix_fmt="yuv444p")
    summary = take(film, split="25/0", format="png")
    table = open_frames("toy", "train", tmp_path / "data")
    assert summary.train_frames == len(table) == 25
    for number in range(25):
        assert error_of(table.read(number), picture(number, 0, 64, 48)) < 2


@pytest.mark.parametrize("width", [64, 1280])
@pytest.mark.parametrize("matrix", [1, 2, 6, 9])
def test_colors_are_those_of_the_films_matrix(draw, take, tmp_path, width, matrix):
    # Untagged: BT.709 for the wide film, BT.601 for the small one.
    meant = (1 if width == 1280 else 6) if matrix == 2 else matrix
    film = draw(frames=2, width=width, height=64, is_color=True, pix_fmt="yuv444p", matrix=meant)
    if matrix == 2:
        untagged = film.with_name("untagged.mp4")
        tags = "h264_metadata=matrix_coefficients=2:colour_primaries=2:transfer_characteristics=2"
        command = [ffmpeg.find_ffmpeg(), "-v", "error", "-i", film, "-c", "copy", "-bsf:v", tags]
        subprocess.run([*command, untagged], check=True)
        film = untagged
    take(film, split="2/0", format="png")
    frame = open_frames("toy", "train", tmp_path / "data").read(0)
    assert error_of(frame, picture(0, 0, width, 64)) < 2


def test_runs_end_where_the_film_cuts(draw, take, tmp_path):
    take(draw(frames=25, is_color=True, cuts=(12, 20)), split="25/0")
    table = open_frames("toy", "train", tmp_path / "data")
    assert table.runs == (Run(0, 12, 0), Run(12, 8, 0), Run(20, 5, 0))


def test_times_are_exact_where_the_rate_varies_and_the_start_is_late(draw, take, manifest_of):
    times = tuple(Fraction(n, 1000) for n in (0, 40, 41, 200, 333, 1000, 1001, 1500))
    for index, ending in enumerate(("mkv", "mp4")):
        film = draw(
            f"vfr{index}.{ending}",
            times=times,
            first_seconds=2,
            is_color=True,
            time_base=Fraction(1, 1000),
        )
        take(film, name=ending)
        assert seconds_of(manifest_of(ending)) == times_of(film)


def test_every_nth_frame_of_a_span_is_kept(draw, take, manifest_of):
    film = draw(frames=60, is_color=True, codec_options={"g": "7", "bf": "2"})
    take(film, every=3, start="0.42", end="1.6", split="1.0/0.0")
    wanted = [time for time in times_of(film) if Fraction(42, 100) <= time < Fraction(16, 10)]
    assert seconds_of(manifest_of()) == wanted[::3]


@pytest.mark.parametrize(
    ("clip", "size", "shape"),
    [
        ({"width": 64, "height": 48}, 480, (48, 64)),  # never enlarged
        ({"width": 64, "height": 48}, 32, (32, 43)),
        ({"width": 64, "height": 48, "sample_aspect_ratio": Fraction(2)}, 48, (48, 128)),
        ({"width": 64, "height": 48, "sample_aspect_ratio": Fraction(1, 2)}, 48, (48, 32)),
        ({"width": 64, "height": 48, "display_matrix": QUARTER_TURN}, 480, (64, 48)),
        ({"width": 65, "height": 49, "pix_fmt": "yuv444p"}, 480, (49, 65)),
        ({"width": 64, "height": 48, "pix_fmt": "yuv420p10le"}, 480, (48, 64)),
        ({"width": 64, "height": 48, "full_range": True}, 480, (48, 64)),
    ],
)
def test_frames_have_square_pixels_and_stand_upright(draw, take, tmp_path, clip, size, shape):
    take(draw(frames=4, is_color=True, **clip), size=size, split="4/0")
    assert open_frames("toy", "train", tmp_path / "data").read(0).shape == (*shape, 3)


def test_a_rotated_film_is_turned_as_players_turn_it(draw, take, tmp_path):
    film = draw(frames=2, is_color=True, pix_fmt="yuv444p", display_matrix=QUARTER_TURN)
    take(film, split="2/0", format="png")
    frame = open_frames("toy", "train", tmp_path / "data").read(0)
    truth = picture(0, 0, 64, 48)
    assert min(error_of(frame, np.rot90(truth, turns)) for turns in (1, 3)) < 3


def test_counts_split_the_film_in_its_order(draw, take, tmp_path):
    summary = take(draw(frames=30, is_color=True), split="10/5")
    assert (summary.train_frames, summary.test_frames) == (10, 5)
    names = sorted(path.name for path in (tmp_path / "data/toy/test").iterdir())
    assert names == [f"0000{n}.jpg" for n in range(1, 6)]


def test_a_film_shorter_than_the_counts_is_split_in_their_proportion(draw, take, caplog):
    summary = take(draw(frames=30, is_color=True), split="100/50")
    assert (summary.train_frames, summary.test_frames) == (20, 10)
    assert "has only 30 frames; split 20/10" in caplog.text


def test_a_border_given_as_a_share_moves_to_a_cut_nearby():
    kept = [Kept(n, n in (0, 50, 86)) for n in range(100)]
    assert split_sizes(kept, (0.88, 0.12)) == (86, 14)
    assert split_sizes(kept, (0.7, 0.3)) == (70, 30)
    assert split_sizes(kept, (87, 13)) == (87, 13)


films = st.lists(st.booleans(), min_size=1, max_size=200).map(
    lambda cuts: [Kept(n * 10, cut or n == 0) for n, cut in enumerate(cuts)]
)
splits = st.one_of(
    st.tuples(st.integers(1, 150), st.integers(0, 150)),
    st.floats(0.01, 1).map(lambda share: (share, 1 - share)),
)


@given(films, splits, st.integers(0, 9))
def test_stretches_hold_every_frame_once_and_no_cut_inside(kept, split, offset):
    train, test = split_sizes(kept, split)
    assert train >= 0
    assert test >= 0
    assert train + test == (min(len(kept), sum(split)) if isinstance(split[0], int) else len(kept))
    for part in (kept[:train], kept[train : train + test]):
        runs = stretches(part, source=1, offset=offset)
        assert [pts for run in runs for pts in run.pts] == [frame.pts for frame in part]
        begin = offset
        for run in runs:
            assert (run.first, len(run.pts)) == (begin + 1, run.count)
            inside = part[begin - offset + 1 : begin - offset + run.count]
            assert not any(frame.starts_shot for frame in inside)
            begin += run.count


def test_a_second_film_continues_the_numbers(draw, take, tmp_path, manifest_of):
    take(draw("a.mp4", frames=10, is_color=True), split="8/2")
    take(draw("b.mkv", frames=12, is_color=True, width=80), split="9/3")
    table = open_frames("toy", "train", tmp_path / "data")
    assert table.runs == (Run(0, 8, 0), Run(8, 9, 1))
    assert table.source_names == ("a.mp4", "b.mkv")
    assert (table.read(7).shape, table.read(8).shape) == ((48, 64, 3), (48, 80, 3))
    assert [stretch.first for stretch in manifest_of().test] == [1, 3]


def test_progress_counts_to_the_number_expected(draw, tmp_path):
    film = draw(frames=30, is_color=True)
    options = ExtractOptions(dataset="toy", data=tmp_path, every=2, start="0.4")
    counts: list[int] = []
    extract(film, options, on_progress=counts.append)
    assert counts == list(range(1, 11))
    assert expected_frames(film, options) == 10


PROGRAM = """
import os, signal, sys
from pathlib import Path
from vidcolor.dataset.extract import extract
from vidcolor.options.extract import ExtractOptions

film, data, fatal = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
renames = 0
rename = Path.replace

def rename_or_die(self, target):
    global renames
    if renames == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    renames += 1
    return rename(self, target)

Path.replace = rename_or_die
extract(film, ExtractOptions(dataset="toy", data=data, split="0.8/0.2"))
"""


def run_until_killed(film: Path, data: Path, at_rename: int) -> int:
    command = [sys.executable, "-c", PROGRAM, str(film), str(data), str(at_rename)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode


def test_killed_at_any_step_it_goes_on_and_the_result_is_the_same(draw, take, tmp_path):
    film = draw(frames=30, is_color=True, cuts=(9, 22), codec_options={"g": "5", "bf": "2"})
    take(film, split="0.8/0.2")
    whole = tree(tmp_path / "data/toy")
    data = tmp_path / "again"
    for at_rename in (0, 9, 20):  # with 0, 9 and 29 of the 30 frames kept
        assert run_until_killed(film, data, at_rename) == -9
        assert (data / "toy" / UNFINISHED_NAME).is_dir()
        with pytest.raises(InputError, match="not finished"):
            open_frames("toy", "train", data)
    assert run_until_killed(film, data, 1000) == 0
    assert tree(data / "toy") == whole


# 30 renames of frames as they are kept, 30 to their splits, 1 of the manifest.
@pytest.mark.parametrize("at_rename", [30, 45, 60])
def test_killed_while_frames_move_to_their_splits_none_is_lost(draw, take, tmp_path, at_rename):
    film = draw(frames=30, is_color=True, cuts=(9, 22))
    take(film, split="0.8/0.2")
    data = tmp_path / "again"
    assert run_until_killed(film, data, at_rename) == -9
    extract(film, ExtractOptions(dataset="toy", data=data, split="0.8/0.2"))
    assert tree(data / "toy") == tree(tmp_path / "data/toy")


def test_killed_from_outside_it_goes_on_and_the_result_is_the_same(draw, take, tmp_path):
    film = draw(frames=250, is_color=True, width=320, height=240, cuts=(100,))
    take(film, split="0.8/0.2")
    data = tmp_path / "again"
    staged = data / "toy" / UNFINISHED_NAME
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, film, data, "-1"])
    while process.poll() is None and len(list(staged.glob("*.jpg"))) < 40:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9
    assert 40 <= len(list(staged.glob("*.jpg"))) < 250
    extract(film, ExtractOptions(dataset="toy", data=data, split="0.8/0.2"))
    assert tree(data / "toy") == tree(tmp_path / "data/toy")


def test_killed_before_the_leftovers_are_removed_nothing_is_in_the_way(draw, take, monkeypatch):
    def die(_staging):
        raise KeyboardInterrupt

    film = draw("a.mp4", frames=10, is_color=True)
    with monkeypatch.context() as patch:
        patch.setattr("vidcolor.dataset.extract_journal.Staging.remove", die)
        with pytest.raises(KeyboardInterrupt):
            take(film)
    with pytest.raises(InputError, match="already"):
        take(film)
    assert take(draw("b.mp4", frames=12, is_color=True), split="12/0").train_frames == 12


BLACK = (0, 1, 8, 9, 10, 24, 29)


@pytest.mark.parametrize("every", [1, 3])
def test_black_frames_are_left_out_runs_end_there_and_times_stay(draw, take, manifest_of, every):
    film = draw(frames=30, is_color=True, black=BLACK, cuts=(20,))
    take(film, split="1.0/0.0", every=every)
    numbers = [n for n in range(0, 30, every) if n not in BLACK]
    times = times_of(film)
    assert seconds_of(manifest_of()) == [times[n] for n in numbers]
    starts = {first.pts[0] for first in manifest_of().train}
    base = Fraction(manifest_of().sources[0].time_base)
    wanted = {1: (2, 11, 20, 25), 3: (3, 12, 21, 27)}[every]
    assert {pts * base for pts in starts} == {times[n] for n in wanted}


def test_black_frames_are_kept_where_they_are_wanted(draw, take):
    film = draw(frames=30, is_color=True, black=BLACK)
    assert take(film, split="1.0/0.0", drop_black=0).train_frames == 30


def test_a_film_that_ends_in_black_is_not_taken_for_cut_off(draw, take, caplog):
    take(draw(frames=90, is_color=True, black=tuple(range(20, 90))), split="1.0/0.0")
    assert "truncated" not in caplog.text


def test_a_film_of_black_frames_alone_is_refused(draw, take):
    film = draw(frames=30, is_color=True, black=tuple(range(10)))
    with pytest.raises(InputError, match=r"only black ones.*--drop-black 0"):
        take(film, end="0.4")


@pytest.mark.parametrize("luma", [0.0, 0.02, 0.066, 0.2, 0.5, 1.0])
def test_lightness_is_that_of_cie_lab(luma):
    lab = lab_from_rgb(torch.full((3, 1, 1), luma, dtype=torch.float64))
    assert lightness_of(luma) == pytest.approx(float(lab[0]), abs=1e-6)


@pytest.mark.parametrize("misleads", [False, True])
def test_killed_among_black_frames_it_goes_on_and_the_result_is_the_same(
    draw, take, tmp_path, monkeypatch, misleads
):
    film = draw(frames=30, is_color=True, black=BLACK, cuts=(20,))
    take(film, split="0.8/0.2")
    data = tmp_path / "again"
    assert run_until_killed(film, data, 6) == -9  # with frames 2 to 7 kept: black ones follow
    if misleads:
        read = ffmpeg.rgb_frames

        def miss_the_first(film, *, seek=True, **wanted):
            later = (wanted["first_pts"] or 0) + int(seek)
            return read(film, seek=seek, **{**wanted, "first_pts": later})

        monkeypatch.setattr(module, "rgb_frames", miss_the_first)
    extract(film, ExtractOptions(dataset="toy", data=data, split="0.8/0.2"))
    assert tree(data / "toy") == tree(tmp_path / "data/toy")


def test_neighbours_of_test_frames_are_their_own(draw, take, tmp_path):
    take(draw(frames=40, is_color=True, pix_fmt="yuv444p"), split="25/15", format="png")
    table = open_frames("toy", "test", tmp_path / "data")
    windows = [[table.read(i) for i in window_indices(table, index)] for index in range(15)]
    assert sum(not np.array_equal(now, after) for _, now, after in windows) == 14
    assert sum(not np.array_equal(before, now) for before, now, _ in windows) == 14
    for index, (before, now, after) in enumerate(windows[1:-1], start=26):
        for frame, number in ((before, index - 1), (now, index), (after, index + 1)):
            assert error_of(frame, picture(number, 0, 64, 48)) < 2


def test_a_film_whose_index_misleads_is_read_from_its_beginning(draw, take, tmp_path, monkeypatch):
    film = draw(frames=30, is_color=True)
    take(film, name="whole")
    data = tmp_path / "data"
    assert run_until_killed(film, data, 12) == -9
    read = ffmpeg.rgb_frames
    calls = []

    def miss_the_first(film, *, seek=True, **wanted):
        calls.append(seek)
        later = wanted["first_pts"] + 1 if seek else wanted["first_pts"]
        return read(film, seek=seek, **{**wanted, "first_pts": later})

    monkeypatch.setattr(module, "rgb_frames", miss_the_first)
    take(film, split="0.8/0.2")
    assert calls == [True, False]
    frames = {str(path.relative_to(data / "whole")) for path in data.glob("whole/*/*.jpg")}
    assert len(frames) == len(list(data.glob("toy/*/*.jpg"))) == 30


def test_a_full_disk_is_named_and_the_work_so_far_is_kept(draw, take, tmp_path, monkeypatch):
    film = draw(frames=20, is_color=True)
    write = Path.write_bytes

    def write_or_fail(path, content):
        if path.name == "00008.jpg.part":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_or_fail)
        with pytest.raises(OutputError, match=r"No space left on device.*resume"):
            take(film)
    assert len(list((tmp_path / "data/toy" / UNFINISHED_NAME).glob("*.jpg"))) == 7
    summary = take(film)
    assert summary.train_frames + summary.test_frames == 20


@pytest.mark.parametrize("clip", [{}, {"pix_fmt": "gray", "codec": "ffv1"}])
def test_a_black_and_white_film_is_refused(draw, take, tmp_path, clip):
    film = draw("grey.mkv", frames=30, **clip)
    with pytest.raises(InputError, match=r"grey\.mkv: is black-and-white"):
        take(film)
    assert not (tmp_path / "data").exists()


def test_the_same_film_is_refused_under_another_name_too(draw, take):
    film = draw(frames=10, is_color=True)
    take(film)
    with pytest.raises(InputError, match=r"is already in the dataset"):
        take(film.rename(film.with_name("other.mp4")))


def test_frames_of_another_kind_do_not_mix(draw, take):
    take(draw("a.mp4", frames=10, is_color=True), size=48)
    with pytest.raises(OutputError, match="use --format jpg --size 48"):
        take(draw("b.mp4", frames=12, is_color=True), size=48, format="png")


def test_an_interrupted_extraction_is_not_mixed_with_another(draw, take, tmp_path):
    film = draw(frames=20, is_color=True)
    assert run_until_killed(film, tmp_path / "data", 5) == -9
    with pytest.raises(OutputError, match="every 1 instead of 2"):
        take(film, split="0.8/0.2", every=2)


def test_two_extractions_to_one_dataset_do_not_mix(draw, take, tmp_path):
    film = draw(frames=10, is_color=True)
    options = ExtractOptions(dataset="toy", data=tmp_path / "data")

    def also_extract(_count):
        with pytest.raises(OutputError, match="another vidcolor is extracting"):
            take(film)

    assert extract(film, options, on_progress=also_extract).train_frames > 0


def test_frames_that_someone_else_put_there_are_not_overwritten(draw, take, tmp_path):
    mine = tmp_path / "data/toy/train/00001.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match="did not extract"):
        take(draw(frames=10, is_color=True))
    assert mine.read_bytes() == b"mine"


def test_a_start_after_the_end_of_the_film_is_refused(draw, take):
    with pytest.raises(InputError, match="no frame after --start 99"):
        take(draw(frames=10, is_color=True), start="99")


def test_a_cut_off_film_gives_what_it_has_with_a_warning(draw, take, caplog):
    film = draw("a.mkv", frames=250, is_color=True, codec_options={"g": "10"})
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 3])
    assert 20 < take(film, split="1.0/0.0").train_frames < 200
    assert "probably truncated" in caplog.text


def test_a_machine_without_ffmpeg_is_told_how_to_get_it(draw, take, monkeypatch):
    film = draw(frames=5, is_color=True)
    monkeypatch.setenv("VIDCOLOR_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(InputError, match="unset VIDCOLOR_FFMPEG"):
        take(film)
    monkeypatch.delenv("VIDCOLOR_FFMPEG")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"apt-get install ffmpeg"):
        take(film)


def test_no_ffmpeg_is_left_running(draw, take):
    take(draw(frames=100, is_color=True, width=320, height=240), split="3/0")
    ours = f"/proc/{os.getpid()}/task"
    children = " ".join(path.read_text() for path in Path(ours).glob("*/children")).split()
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children]
    assert not [name for name in names if name.startswith("ffmpeg")]


def test_a_name_that_looks_like_an_option_or_a_url_is_a_file(draw, take):
    for number, name in enumerate(("-i.mp4", "http:x.mp4", "%03d [1]'.mp4")):
        film = draw(name, frames=5 + number, is_color=True)
        assert take(film, name=f"n{number}", split="9/0").train_frames == 5 + number


def test_a_journal_torn_in_the_middle_of_a_line_costs_only_that_frame(draw, take, tmp_path):
    film = draw(frames=20, is_color=True)
    take(film, name="whole", split="0.8/0.2")
    assert run_until_killed(film, tmp_path / "data", 8) == -9
    journal = tmp_path / "data/toy" / UNFINISHED_NAME / "journal.jsonl"
    os.truncate(journal, journal.stat().st_size - 4)
    take(film, split="0.8/0.2")
    frames, whole = (tree(tmp_path / "data" / name / "train") for name in ("toy", "whole"))
    assert frames == whole


def test_a_kept_frame_that_was_damaged_since_is_noticed(draw, take, tmp_path):
    film = draw(frames=20, is_color=True)
    assert run_until_killed(film, tmp_path / "data", 8) == -9
    os.truncate(tmp_path / "data/toy" / UNFINISHED_NAME / "00008.jpg", 100)
    with pytest.raises(OutputError, match=r"frames that differ from the film's; delete"):
        take(film, split="0.8/0.2")
