"""Many films: each as `render` makes it; what is done is skipped, failures are recorded."""

import json
import os
import re
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clips import draw_clip
from tests.faults import names_in, picture_of, run, tiny_model
from tests.rendering.test_kill import done_frames
from tests.stopping import interrupt, kill, stopped
from vidcolor import signals
from vidcolor.batch.batch import BatchReport, Outcome, batch, tasks_of
from vidcolor.batch.dry_run import SAMPLE_SECONDS, DryRun, FilmEstimate, Measured, dry_run
from vidcolor.batch.inputs import Task
from vidcolor.batch.ledger import LEDGER_NAME, Ledger
from vidcolor.cli.app import run as run_words
from vidcolor.errors import InputError, ModelError, OptionsError, OutputError
from vidcolor.options.batch import BatchOptions
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import Fingerprint, Segment
from vidcolor.rendering.render import render
from vidcolor.rendering.workdir import folder_of

GOOD, BROKEN = 17, 3
MIDDLE = 9
"""Number of a good film of two segments, of 30 frames each; the others have one."""
FOLDERS, SUFFIXES = ("shelf/box", "reel"), (".mp4", ".mkv", ".avi")
NAMES = [f"{FOLDERS[n % 2]}/{n:02}{SUFFIXES[n % 3]}" for n in range(GOOD)]
COMMAND = ("--device", "cpu", "--preset", "ultrafast")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def reels(tmp_path_factory) -> Path:
    """Twenty small films, three of them broken."""
    folder = tmp_path_factory.mktemp("reels")
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = "mpeg4" if path.suffix == ".avi" else "libx264"
        length = {"frames": 60, "cuts": (30,)} if number == MIDDLE else {"frames": 8 + number}
        draw_clip(path, **length, audio=number % 2, codec=codec)
    for number, content in enumerate(
        (b"", b"no film at all", (folder / NAMES[0]).read_bytes()[:900])
    ):
        (folder / f"broken-{number}.mp4").write_bytes(content)
    return folder


@pytest.fixture
def films(tmp_path) -> Path:
    """Three small films."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("a.mkv", "b.mkv", "c.mkv"):
        draw_clip(folder / name, frames=60, cuts=(30,), codec="ffv1")
    return folder


class Seen:
    """Watches, and remembers what it saw."""

    def __init__(self) -> None:
        self.films: dict[str, list[int]] = {}
        self.expected: dict[str, int | None] = {}
        self.outcomes: list[tuple[str, str]] = []
        self.segments = 0

    @contextmanager
    def __call__(self, film: Path, expected: int | None):
        self.expected[film.name] = expected
        frames = self.films.setdefault(film.name, [])

        class FilmWatcher:
            def frame(self, done: int) -> None:
                frames.append(done)

            def segment(watch, segment: Segment) -> None:  # noqa: N805
                self.segments += 1

        yield FilmWatcher()

    def note(self, outcome: Outcome, total: int) -> None:
        self.outcomes.append((outcome.film.name, outcome.state))


def _batch(
    films: Path, out: Path, model: str, seen: Seen | None = None, **more: Any
) -> BatchReport:
    seen = seen or Seen()
    options = {"model": model, "device": "cpu", "codec": "ffv1"} | more
    return batch(
        BatchOptions(films=(films,), out=out, **options), watching=seen, on_outcome=seen.note
    )


def _render_alone(film: Path, out: Path, model: str) -> Path:
    return render(film, out, RenderOptions(model=model, device="cpu", codec="ffv1")).out


def _words(*more: object) -> list[str]:
    return [sys.executable, "-m", "vidcolor", "batch", *map(str, more)]


def _inodes(out: Path) -> dict[Path, int]:
    """Return the results in a folder, and which file each is."""
    results = [path for path in out.rglob("*.m*") if ".vidcolor" not in str(path)]
    return {path: path.stat().st_ino for path in results}


def _assert_as_single_renders(reels: Path, out: Path, model: str, folder: Path) -> None:
    options = RenderOptions(model=model, device="cpu", preset="ultrafast")
    for number in (0, 1, 2, MIDDLE, 16):
        film = reels / NAMES[number]
        result = (out / NAMES[number]).with_suffix(".mkv" if film.suffix == ".mkv" else ".mp4")
        single = folder / f"single-{number}{result.suffix}"
        render(film, single, options)
        assert picture_of(result) == picture_of(single)


def test_of_twenty_films_three_are_broken_and_the_rest_is_done(reels, model, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.json"
    words = _words(reels, out, "--model", model, *COMMAND, "--report", report)
    first = run(words)
    assert first.returncode == 1
    assert "3 of 20 films failed; run the same command again" in first.stderr
    told = json.loads(report.read_text())
    assert (told["done"], told["skipped"], told["failed"]) == (GOOD, 0, BROKEN)
    for film in told["films"]:
        is_broken = Path(film["film"]).name.startswith("broken")
        assert film["state"] == ("failed" if is_broken else "done")
        assert bool(film["reason"]) == is_broken
        assert film["film"] in first.stdout
    assert len(re.findall(r"error: .*broken-\d\.mp4: ", first.stderr)) == BROKEN
    results = _inodes(out)
    assert len(results) == GOOD
    _assert_as_single_renders(reels, out, model, tmp_path)

    again = run(words)
    assert again.returncode == 1
    told = json.loads(report.read_text())
    assert (told["done"], told["skipped"], told["failed"]) == (0, GOOD, BROKEN)
    assert _inodes(out) == results


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_batch_killed_in_the_middle_and_run_again_ends_the_same(reels, model, tmp_path, workers):
    out, report = tmp_path / "out", tmp_path / "report.json"
    words = _words(reels, out, "--model", model, *COMMAND, "--workers", workers, "--report", report)
    tasks = tasks_of(BatchOptions(films=(reels,), out=out))
    middle = [task.film for task in tasks].index(reels / NAMES[MIDDLE])
    journal = folder_of(tasks[middle].out) / "journal.jsonl"
    kill(stopped("append", 2, str(journal), words[3:]))
    before = _inodes(out)
    begun = {task.out for task in tasks[:middle] if not task.film.name.startswith("broken")}
    others = 0 if workers == "1" else int(workers)  # films that are under way beside that one
    assert len(begun - set(before)) <= others
    assert others or begun == set(before)
    assert tasks[middle].out not in before

    again = run(words)
    assert again.returncode == 1
    assert f"{tasks[middle].out}: resuming an interrupted render after 30 frames" in again.stderr
    told = json.loads(report.read_text())
    assert (told["done"], told["failed"]) == (GOOD - len(before), BROKEN)
    assert told["skipped"] == len(before)
    assert {path: path.stat().st_ino for path in before} == before
    assert not list(out.rglob("*.vidcolor"))
    _assert_as_single_renders(reels, out, model, tmp_path)


@pytest.mark.parametrize(
    ("deed", "count", "pattern", "frames_kept", "skipped"),
    [
        ("name", 1, "*/b.mkv", 60, 1),
        ("remove", 1, "*/.b.mkv.vidcolor", 60, 2),
        ("append", 4, f"*/{LEDGER_NAME}", 0, 2),
    ],
    ids=["it-is-whole", "it-has-its-name", "it-is-tidied-up"],
)
def test_a_batch_killed_as_soon_as(
    films, model, tmp_path, deed, count, pattern, frames_kept, skipped
):
    out, seen = tmp_path / "out", Seen()
    words = ["batch", films, out, "--model", model, "--device", "cpu", "--codec", "ffv1"]
    kill(stopped(deed, count, pattern, [str(word) for word in words]))
    before = _inodes(out)
    assert len(before) == skipped
    assert done_frames(out / "b.mkv") == frames_kept
    report = _batch(films, out, model, seen)
    assert (report.count("skipped"), report.count("done")) == (skipped, 3 - skipped)
    assert seen.segments == 2  # of the last film
    assert {path: path.stat().st_ino for path in before} == before
    assert names_in(out) == {"a.mkv", "b.mkv", "c.mkv", LEDGER_NAME}
    single = _render_alone(films / "b.mkv", tmp_path / "single.mkv", model)
    assert picture_of(out / "b.mkv") == picture_of(single)


def test_a_pool_makes_the_films_that_one_process_makes(films, model, tmp_path):
    alone, shared = Seen(), Seen()
    _batch(films, tmp_path / "alone", model, alone)
    report = _batch(films, tmp_path / "shared", model, shared, workers=2)
    assert report.count("done") == 3
    for name in ("a.mkv", "b.mkv", "c.mkv"):
        assert picture_of(tmp_path / "shared" / name) == picture_of(tmp_path / "alone" / name)
    assert alone.films["a.mkv"] == list(range(1, 61))
    assert shared.films["a.mkv"] == [30, 60]
    assert alone.segments == shared.segments == 6
    assert alone.expected == dict.fromkeys(("a.mkv", "b.mkv", "c.mkv"), 60)


def test_an_interrupted_batch_keeps_what_is_done_and_goes_on(films, model, tmp_path):
    out, seen = tmp_path / "out", Seen()
    # More segments than are under way at once.
    draw_clip(films / "a.mkv", frames=240, cuts=tuple(range(30, 240, 30)), codec="ffv1")
    words = ["batch", films, out, "--model", model, "--device", "cpu", "--codec", "ffv1",
             "--workers", 2]  # fmt: skip
    process = stopped("append", 2, "*/.a.mkv.vidcolor/journal.jsonl", [str(word) for word in words])
    messages = interrupt(process)
    assert process.returncode == 130
    assert "Traceback" not in messages
    told = re.findall(r"(\w)\.mkv: (\d+) frames are done; run the same command again", messages)
    kept = {name: done_frames(out / f"{name}.mkv") for name in "abc"}
    assert {name: int(frames) for name, frames in told} == {n: f for n, f in kept.items() if f}
    assert 60 <= kept["a"] < 240
    report = _batch(films, out, model, seen)
    assert [outcome.reason for outcome in report.outcomes] == [""] * 3
    assert seen.films["a.mkv"] == list(range(kept["a"] + 1, 241))
    assert names_in(out) == {"a.mkv", "b.mkv", "c.mkv", LEDGER_NAME}


def test_an_interruption_that_a_library_turns_into_an_error_ends_the_batch(
    films, model, tmp_path, monkeypatch
):
    class Turning(Seen):
        @contextmanager
        def __call__(self, film, expected):
            with super().__call__(film, expected):
                monkeypatch.setattr(signals, "_received", signals.Interrupted(signal.SIGTERM))
                raise ImportError("numpy failed to import")
            yield

    seen = Turning()
    with pytest.raises(signals.Interrupted):
        _batch(films, tmp_path / "out", model, seen)
    assert list(seen.films) == ["a.mkv"]


def test_a_film_that_changed_or_is_made_otherwise_is_not_taken_for_done(films, model, tmp_path):
    out = tmp_path / "out"
    _batch(films, out, model)
    before = _inodes(out)
    draw_clip(films / "b.mkv", frames=50, codec="ffv1")
    report = _batch(films, out, model)
    assert [outcome.state for outcome in report.outcomes] == ["skipped", "failed", "skipped"]
    assert re.search(
        r"b\.mkv: was made with another film; add --overwrite", report.outcomes[1].reason
    )
    report = _batch(films, out, model, saturation=0.5)
    assert report.count("failed") == 3
    assert "--saturation 1.0, not 0.5" in report.outcomes[0].reason
    assert _inodes(out) == before
    assert _batch(films, out, model, overwrite=True).count("done") == 1
    assert len(picture_of(out / "b.mkv")) == 50
    assert _batch(films, out, model, overwrite=True).count("skipped") == 3


def test_a_file_that_no_batch_made_is_left_alone(films, model, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mkv").write_bytes(b"mine")
    report = _batch(films, out, model)
    assert [outcome.state for outcome in report.outcomes] == ["failed", "done", "done"]
    assert "already exists" in report.outcomes[0].reason
    assert (out / "a.mkv").read_bytes() == b"mine"
    assert _batch(films, out, model).count("failed") == 1


def test_a_result_that_was_cut_or_removed_is_not_taken_for_done(films, model, tmp_path):
    out = tmp_path / "out"
    _batch(films, out, model)
    (out / "a.mkv").unlink()
    os.truncate(out / "b.mkv", 1000)
    report = _batch(films, out, model)
    assert [outcome.state for outcome in report.outcomes] == ["done", "failed", "skipped"]


IDENTITY: Fingerprint = {"film": "a" * 64, "--crf": 18}


def test_a_result_named_just_before_the_run_was_killed_is_known(tmp_path):
    ledger, out = Ledger(tmp_path), tmp_path / "a.mkv"
    ledger.begin(out, IDENTITY)
    assert not Ledger(tmp_path).is_done(out, IDENTITY)
    out.write_bytes(b"film")
    assert Ledger(tmp_path).is_done(out, IDENTITY)
    assert not Ledger(tmp_path).is_done(out, {**IDENTITY, "--crf": 20})
    Ledger(tmp_path).begin(out, IDENTITY)  # to replace it
    assert not Ledger(tmp_path).is_done(out, IDENTITY)


def test_a_ledger_whose_last_line_was_cut_tells_the_rest_and_goes_on(tmp_path):
    ledger, (first, second) = Ledger(tmp_path), (tmp_path / "a.mkv", tmp_path / "b.mkv")
    for out in (first, second):
        out.write_bytes(b"film")
        ledger.end(out, IDENTITY)
    path = tmp_path / LEDGER_NAME
    os.truncate(path, path.stat().st_size - 20)
    cut = Ledger(tmp_path)
    assert (cut.is_done(first, IDENTITY), cut.is_done(second, IDENTITY)) == (True, False)
    cut.end(second, IDENTITY)
    assert Ledger(tmp_path).is_done(second, IDENTITY)


def test_a_dry_run_tells_what_would_be_done_and_leaves_nothing(films, model, tmp_path):
    (films / "broken.mkv").write_bytes(b"no film")
    options = BatchOptions(
        films=(films,), out=tmp_path / "out", model=model, device="cpu", codec="ffv1"
    )
    begun = time.monotonic()
    found = dry_run(options)
    took = time.monotonic() - begun
    assert [o.what for o in found.estimates] == ["render", "render", "fail", "render"]
    assert [o.frames_left for o in found.estimates] == [60, 60, 0, 60]
    assert not (tmp_path / "out").exists()
    assert found.measured is not None
    assert 0 < found.measured.seconds_per_pixel * SAMPLE_SECONDS * 25 * 64 * 48 < took
    report = batch(options, watching=Seen())
    size = sum((tmp_path / "out" / name).stat().st_size for name in ("a.mkv", "b.mkv", "c.mkv"))
    pixels = 3 * 60 * 64 * 48
    assert found.measured.bytes_per_pixel * pixels == pytest.approx(size, rel=0.3)
    assert report.count("done") == 3
    after = dry_run(options)
    assert [o.what for o in after.estimates] == ["skip", "skip", "fail", "skip"]
    assert after.measured is None
    assert "no estimate" in after.summary()


def test_a_dry_run_divides_the_time_by_workers_and_says_what_it_does_not_know():
    task = Task(Path("a.mkv"), Path("out/a.mkv"))
    known = [FilmEstimate(task, "resume", frames, pixels=2000) for frames in (200, 100)]
    unknown = FilmEstimate(task, "render", None, pixels=2000)
    measured = Measured(task.film, seconds_per_pixel=1e-3, bytes_per_pixel=5)
    found = DryRun((*known, unknown, FilmEstimate(task, "skip")), measured, workers=2)
    assert found.summary() == (
        "about 5 minutes and 3 MB (estimated from 2 s of a.mkv and the sizes of the films; "
        "not included, of unknown length: 1)"
    )


def test_a_dry_run_knows_what_an_interrupted_run_left(films, model, tmp_path):
    def stop(outcome: Outcome, total: int) -> None:
        raise KeyboardInterrupt

    options = BatchOptions(
        films=(films,), out=tmp_path / "out", model=model, device="cpu", codec="ffv1"
    )

    class Stopping(Seen):
        @contextmanager
        def __call__(self, film, expected):
            with super().__call__(film, expected) as watch:
                frame = watch.frame

                def stopping(done: int) -> None:
                    frame(done)
                    if done == 40:
                        raise KeyboardInterrupt

                watch.frame = stopping
                yield watch

    with pytest.raises(KeyboardInterrupt):
        batch(options, watching=Stopping())
    found = dry_run(options)
    assert [(o.what, o.frames_left) for o in found.estimates] == [
        ("resume", 30), ("render", 60), ("render", 60)
    ]  # fmt: skip


def test_a_recipe_alone_says_all(films, model, tmp_path, capsys):
    recipe = tmp_path / "folder.toml"
    recipe.write_text(
        f'[batch]\nfilms = ["{films}"]\nout = "{tmp_path / "out"}"\nmodel = "{model}"\n'
        'device = "cpu"\ncodec = "ffv1"\nworkers = "auto"\n'
    )
    assert run_words(["batch", str(recipe), "--dry-run"]) == 0
    as_word = capsys.readouterr().out
    assert run_words(["batch", "--recipe", str(recipe), "--dry-run"]) == 0
    table = [re.sub(r"about .*", "", told) for told in (as_word, capsys.readouterr().out)]
    assert table[0] == table[1]
    assert table[0].count("render") == 3
    other = tmp_path / "other"
    words = ["batch", str(films / "a.mkv"), str(other), "--recipe", str(recipe), "--dry-run"]
    assert run_words(words) == 0
    told = capsys.readouterr().out
    assert told.count("render ") == 1
    assert str(other) in told


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"films": ()}, OptionsError, "films or output folder are missing"),
        ({"out": None}, OptionsError, "films or output folder are missing"),
        ({"films": (Path("none"),)}, InputError, "none: contains no films"),
        ({"model": "nobody"}, ModelError, "not found"),
        ({"report": Path("none/report.json")}, OutputError, "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_film(
    films, model, tmp_path, changes, kind, message
):
    options = BatchOptions(films=(films,), out=tmp_path / "out", model=model)
    with pytest.raises(kind, match=message):
        batch(replace(options, **changes), watching=Seen())
    assert not (tmp_path / "out").exists() or not names_in(tmp_path / "out")
