"""Killed at any moment, by a signal or a power cut: the same command goes on, to the same film."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.faults import (
    command,
    company_of,
    draw_film_of_shots,
    names_in,
    picture_of,
    run,
    start,
    tiny_model,
    work_folder,
)
from vidcolor.errors import OutputError
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import read_journal
from vidcolor.rendering.render import render

SHOTS = 8
FRAMES = 30 * SHOTS
POLL_SECONDS = 0.0005


@dataclass(frozen=True)
class Scene:
    """A film, a model and the result of a render that nobody disturbed."""

    film: Path
    model: str
    whole: Path
    work_seconds: float
    """How long that render was at work, after Python and torch were loaded."""

    def command(self, out: Path, *more: str) -> list[str]:
        return command(self.film, out, self.model, "--codec", "ffv1", *more)

    def options(self, *, overwrite: bool = False) -> RenderOptions:
        """Return what the command says."""
        return RenderOptions(model=self.model, device="cpu", codec="ffv1", overwrite=overwrite)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    film = draw_film_of_shots(folder / "film.mkv", shots=SHOTS, width=96, height=64)
    model = tiny_model(folder / "model")
    whole = folder / "whole.mkv"
    with start(command(film, whole, model, "--codec", "ffv1")) as process:
        wait_until(process, work_folder(whole).exists)
        began = time.monotonic()
        assert process.wait() == 0
        return Scene(film, model, whole, time.monotonic() - began)


def wait_until(process: subprocess.Popen[str], happens: Callable[[], bool]) -> bool:
    """Wait for something, or for the process's end; tell whether it happened before that."""
    while process.poll() is None:
        if happens():
            return True
        time.sleep(POLL_SECONDS)
    return False


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def done_frames(out: Path) -> int:
    """Return how many frames the journal says are done."""
    record = read_journal(work_folder(out) / "journal.jsonl")
    return sum(segment.frame_count for segment in record.segments) if record else 0


def kill(process: subprocess.Popen[str], signum: int = signal.SIGKILL) -> str:
    """Send a signal, wait for the end and return what was said."""
    process.send_signal(signum)
    return process.communicate(timeout=30)[1]


def assert_same_film(out: Path, scene: Scene) -> None:
    assert picture_of(out) == picture_of(scene.whole)
    assert company_of(out) == company_of(scene.whole)
    assert not work_folder(out).exists()


def said_frames(messages: str) -> int:
    """Return with how many frames a render says that it goes on."""
    said = [line for line in messages.splitlines() if "resuming an interrupted render" in line]
    return int(said[0].split("render after ")[1].split()[0]) if said else 0


def render_with_kills(scene: Scene, out: Path, random: Random, wanted: int) -> int:
    """Render a film, killed up to so many times on the way; return how often it was.

    A kill comes at random within the third of an undisturbed render's work, so that three of them
    fit into one.
    """
    for kills in range(wanted):
        done = done_frames(out)
        process = start(scene.command(out))
        is_at_work = wait_until(process, lambda: is_held(out))
        if not (
            is_at_work and wait_until(process, after(random.uniform(0, scene.work_seconds / 3)))
        ):
            assert said_frames(process.communicate()[1]) in (0, done)
            assert process.returncode == 0
            return kills
        messages = kill(process)
        assert process.returncode == -signal.SIGKILL
        assert said_frames(messages) in (0, done)
        if is_tidied(out):
            return kills + 1
        assert_nothing_lost(out, done, scene)
    done = done_frames(out)
    ended = run(scene.command(out))
    assert ended.returncode == 0, ended.stderr
    assert said_frames(ended.stderr) == done
    return wanted


def is_held(out: Path) -> bool:
    """Tell whether a process is at work on a result."""
    with contextlib.suppress(FileNotFoundError), (work_folder(out) / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_tidied(out: Path) -> bool:
    """Tell whether a result is whole and its work removed: its process had only to end."""
    return out.exists() and not work_folder(out).exists()


def assert_nothing_lost(out: Path, done: int, scene: Scene) -> None:
    """Compare with the number of frames that were done before the last kill."""
    if out.exists():
        assert picture_of(out) == picture_of(scene.whole)
    else:
        assert done_frames(out) >= done


def test_a_render_killed_at_random_ends_as_if_it_was_not(scene, tmp_path):
    out = tmp_path / "out.mkv"
    assert render_with_kills(scene, out, Random(1), 3) >= 2
    assert_same_film(out, scene)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_random_kills_change_nothing(scene, tmp_path):
    random, kills, film = Random(50), 0, 0
    while kills < 50:
        out = tmp_path / f"{film}.mkv"
        kills += render_with_kills(scene, out, random, 50 - kills)
        assert_same_film(out, scene)
        film += 1
    assert film > 1


@pytest.mark.parametrize("moment", ["joining", "published"])
def test_a_render_killed_at_its_end_is_finished_by_the_same_command(moment, scene, tmp_path):
    out = tmp_path / "out.mkv"
    reached = {"joining": (work_folder(out) / "film.mkv").exists, "published": out.exists}
    process = start(scene.command(out))
    wait_until(process, reached[moment])
    kill(process)
    if not is_tidied(out):
        assert render(scene.film, out, scene.options()).frame_count == FRAMES
    assert_same_film(out, scene)
    assert names_in(tmp_path) == {"out.mkv"}


def test_a_killed_render_that_replaces_a_result_leaves_it_and_goes_on(scene, tmp_path):
    out = tmp_path / "out.mkv"
    out.write_bytes(b"an older result")
    process = start(scene.command(out, "--overwrite"))
    assert wait_until(process, lambda: done_frames(out) >= FRAMES // 4)
    kill(process)
    done = done_frames(out)
    assert out.read_bytes() == b"an older result"
    with pytest.raises(OutputError, match="already exists"):
        render(scene.film, out, scene.options())
    assert render(scene.film, out, scene.options(overwrite=True)).resumed_frame_count == done
    assert_same_film(out, scene)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_render_says_so_and_goes_on(signum, code, scene, tmp_path):
    out = tmp_path / "out.mkv"
    process = start(scene.command(out))
    assert wait_until(process, lambda: done_frames(out) >= FRAMES // 4)
    messages = kill(process, signum)
    assert process.returncode == code
    assert "Traceback" not in messages
    assert messages.endswith(f"interrupted by {signum.name}\n")
    assert "frames are done; run the same command again to resume" in messages
    assert names_in(tmp_path) == {work_folder(out).name}
    done = done_frames(out)
    assert render(scene.film, out, scene.options()).resumed_frame_count == done
    assert_same_film(out, scene)


@pytest.mark.slow
def test_an_interrupted_render_with_nothing_done_leaves_nothing(scene, tmp_path):
    out = tmp_path / "out.mkv"
    for milliseconds in range(0, 20, 2):
        process = start(scene.command(out))
        wait_until(process, work_folder(out).exists)
        wait_until(process, after(milliseconds / 1000))
        kill(process, signal.SIGINT)
        if done_frames(out) == 0:
            assert names_in(tmp_path) == set()
        shutil.rmtree(work_folder(out), ignore_errors=True)


@dataclass(frozen=True)
class Disk:
    """What a disk holds: folders, and the content of files by name."""

    folders: frozenset[str]
    files: tuple[tuple[str, bytes, int], ...]
    """Path from the top, content and inode."""


class PowerCuts:
    """Remembers, at each step of a run, what a power cut at that moment may leave.

    Only what was synchronised is sure to survive: of a file its content, of a folder its list of
    names. Of the rest anything may, so the two ends are remembered: all names with no content that
    was not synchronised but half of what was appended, and no name that was not.
    """

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.disks: list[Disk] = []
        """Without repetition, in the order of time."""
        self._top = top
        self._content: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {}
        self._kept: list[int] = []
        self._fsync, self._replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self._synchronise)
        monkeypatch.setattr(os, "replace", self._rename)

    def _synchronise(self, descriptor: int) -> None:
        self.remember()
        self._fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            self._names[path] = {file.name: file.stat().st_ino for file in path.iterdir()}
        else:
            self._content[path.stat().st_ino] = path.read_bytes()
            self._kept.append(os.dup(descriptor))  # so that no other file gets its inode
        self.remember()

    def _rename(self, source: str | Path, target: str | Path) -> None:
        self.remember()
        self._replace(source, target)
        self.remember()

    def remember(self) -> None:
        """Remember what a cut at this moment may leave."""
        folders = [self._top, *(path for path in self._top.rglob("*") if path.is_dir())]
        leading, lagging = [], []
        for folder in folders:
            now = {file.name: file for file in folder.iterdir() if file.is_file()}
            for name, file in now.items():
                inode, content = file.stat().st_ino, file.read_bytes()
                sure = self._content.get(inode, b"")
                appended = content[len(sure) :] if content.startswith(sure) and sure else b""
                leading.append((folder / name, sure + appended[: len(appended) // 2], inode))
            for name, inode in self._names.get(folder, {}).items():
                if inode in self._content:
                    lagging.append((folder / name, self._content[inode], inode))
        for files in (leading, lagging):
            disk = Disk(
                frozenset(str(folder.relative_to(self._top)) for folder in folders),
                tuple(
                    sorted(
                        (str(path.relative_to(self._top)), content, inode)
                        for path, content, inode in files
                    )
                ),
            )
            if disk not in self.disks:
                self.disks.append(disk)

    def close(self) -> None:
        for descriptor in self._kept:
            os.close(descriptor)


def restore(disk: Disk, top: Path) -> None:
    """Write what a power cut left into an empty folder.

    The journal knows the finished result by its inode, which here is another.
    """
    for folder in sorted(disk.folders):
        (top / folder).mkdir(parents=True, exist_ok=True)
    inodes: dict[str, str] = {}
    for name, content, inode in disk.files:
        (top / name).write_bytes(content)
        inodes[str(inode)] = str((top / name).stat().st_ino)
    for journal in top.rglob("journal.jsonl"):
        text = journal.read_text()
        journal.write_text(
            re.sub(r'(?<="inode": )\d+', lambda old: inodes.get(old[0], old[0]), text)
        )


@pytest.fixture(scope="module")
def power_cuts(scene, tmp_path_factory) -> list[Disk]:
    """Return what cuts in the course of a render leave; the film and the model are elsewhere."""
    top = tmp_path_factory.mktemp("disk")
    with pytest.MonkeyPatch.context() as monkeypatch:
        cuts = PowerCuts(top, monkeypatch)
        render(scene.film, top / "out.mkv", scene.options())
        cuts.close()
    assert_same_film(top / "out.mkv", scene)
    return cuts.disks


def cut_and_go_on(disk: Disk, scene: Scene, top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)
    restore(disk, top)
    out = top / "out.mkv"
    if out.exists():
        assert picture_of(out) == picture_of(scene.whole)
    done = done_frames(out)
    rendered = render(scene.film, out, scene.options())
    assert rendered.resumed_frame_count == done
    assert_same_film(out, scene)
    assert names_in(top) == {"out.mkv"}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_after_a_power_cut_the_render_goes_on(share, power_cuts, scene, tmp_path):
    cut_and_go_on(power_cuts[round(share * (len(power_cuts) - 1))], scene, tmp_path / "disk")


@pytest.mark.slow
def test_after_a_power_cut_at_any_step_the_render_goes_on(power_cuts, scene, tmp_path):
    assert len(power_cuts) > 4 * SHOTS
    for disk in power_cuts:
        cut_and_go_on(disk, scene, tmp_path / "disk")
