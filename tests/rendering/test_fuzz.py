"""Damaged bytes, hundreds of them: a result or one error, never a crash, a hang or half a file.

Each case is a seed, so that `broken(data, Random(seed))` makes it again. The work is done in
another process, for a crash or a hang in a library must not end the tests.
"""

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.clips import draw_clip
from tests.faults import (
    draw_film_of_shots,
    names_in,
    peak_kilobytes,
    picture_of,
    tiny_model,
    work_folder,
)
from vidcolor.errors import ModelError, OutputError, VidcolorError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.render import render

HANG_SECONDS = 20
START_SECONDS = 120
"""Importing torch takes so long at most, beside other work."""
SLOW = (pytest.mark.slow, pytest.mark.timeout(1800))
MOST_KILOBYTES = 1_000_000
"""Of memory that damaged films of at most a million pixels may take, beyond what torch takes."""

FILMS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"audio": 2, "chapters": ((0, 0.2, "One"),), "title": "A film", "is_color": True},
    "h264.mkv": {"audio": 1, "first_seconds": 0.5},
    "hevc.mp4": {"codec": "libx265", "codec_options": {"preset": "ultrafast"}},
    "mpeg4.avi": {"codec": "mpeg4", "audio": 1, "audio_codec": "libmp3lame"},
    "mpeg2.ts": {
        "codec": "mpeg2video", "time_base": Fraction(1, 25), "audio": 1, "audio_codec": "mp2"
    },
    "prores.mov": {
        "codec": "prores_ks", "pix_fmt": "yuv422p10le", "audio": 1, "audio_codec": "pcm_s16le"
    },
    "vp9.webm": {"codec": "libvpx-vp9", "audio": 1, "audio_codec": "libopus"},
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "yuv444p"},
    "drawn.gif": {"codec": "gif", "pix_fmt": "rgb8", "time_base": Fraction(1, 100)},
}  # fmt: skip


class Worker:
    """A process that carries out one call after another, and is replaced when it dies or hangs."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, others_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(others_end,), daemon=True)
        self._process.start()
        others_end.close()
        assert self._end.poll(START_SECONDS)
        self._kilobytes_at_start: int = self._end.recv()

    def outcome(self, function: Callable[..., None], *arguments: object) -> str:
        """Return `done`, the kind and message of a VidcolorError, or what must not happen."""
        self._end.send((function, arguments))
        try:
            if not self._end.poll(HANG_SECONDS):
                return self._replaced("HANG")
            outcome, kilobytes = self._end.recv()
        except EOFError:
            self._process.join()
            return self._replaced(f"CRASH {self._process.exitcode}")
        if kilobytes > self._kilobytes_at_start + MOST_KILOBYTES:
            return self._replaced(f"MEMORY {kilobytes} kB after {outcome}")
        return str(outcome)

    def _replaced(self, outcome: str) -> str:
        self.stop()
        self._start()
        return outcome

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._end.close()


def _serve(end: Connection) -> None:
    end.send(peak_kilobytes())
    while True:
        function, arguments = end.recv()
        try:
            function(*arguments)
            outcome = "done"
        except VidcolorError as error:
            outcome = f"{type(error).__name__} {error}"
        except BaseException as error:  # noqa: BLE001  that is what is looked for
            outcome = f"UNEXPECTED {type(error).__name__}: {error}"
        end.send((outcome, peak_kilobytes()))


def broken(data: bytes, random: Random) -> bytes:
    """Return the bytes with one to three kinds of damage."""
    film = bytearray(data)
    for damage in random.choices(DAMAGES, k=random.randint(1, 3)):
        damage(film, random)
    return bytes(film)


def _place(film: bytearray, random: Random) -> int:
    """Choose a place; half of the time near an end, where headers are."""
    near = random.choice([range(1024), range(-1024, 0), range(len(film)), range(len(film))])
    return near[random.randrange(len(near))] % max(1, len(film)) if near else 0


def _flip(film: bytearray, random: Random) -> None:
    for _ in range(random.choice([1, 4, 40])):
        if film:
            film[_place(film, random)] ^= 1 << random.randrange(8)


def _claim(film: bytearray, random: Random) -> None:
    """Write an extreme number where there may be a size, a count or a time."""
    place = _place(film, random)
    number = random.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, random.getrandbits(32)])
    film[place : place + 4] = number.to_bytes(4, random.choice(["big", "little"]))


def _blank(film: bytearray, random: Random) -> None:
    place, length = _place(film, random), random.choice([4, 64, 4096])
    film[place : place + length] = bytes(len(film[place : place + length]))


def _cut(film: bytearray, random: Random) -> None:
    del film[_place(film, random) :]


def _remove(film: bytearray, random: Random) -> None:
    place = _place(film, random)
    del film[place : place + random.choice([1, 16, 1024])]


def _repeat(film: bytearray, random: Random) -> None:
    place, length = _place(film, random), random.choice([1, 16, 1024])
    film[place:place] = film[place : place + length]


def _swap(film: bytearray, random: Random) -> None:
    length = random.choice([4, 188, 2048])
    first, second = sorted(_place(film, random) for _ in range(2))
    if first + length <= second and second + length <= len(film):
        one, other = film[first : first + length], film[second : second + length]
        film[first : first + length], film[second : second + length] = other, one


def _scribble(film: bytearray, random: Random) -> None:
    place = _place(film, random)
    film[place:place] = random.randbytes(random.choice([1, 8, 256]))


DAMAGES = (_flip, _claim, _blank, _cut, _remove, _repeat, _swap, _scribble)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    process = Worker()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> dict[str, bytes]:
    """Return the bytes of each film that is going to be damaged."""
    folder = tmp_path_factory.mktemp("films")
    return {
        name: draw_clip(folder / name, frames=12, **({"is_lossless": False} | wanted)).read_bytes()
        for name, wanted in FILMS.items()
    }


def _render(film: Path, out: Path, model: str) -> None:
    options = RenderOptions(model=model, device="cpu", preset="ultrafast", max_pixels=1)
    render(film, out, options)


def _complaint(worker: Worker, film: Path, out: Path, model: str) -> str | None:
    """Render a damaged film and say what is wrong with how that went."""
    outcome = worker.outcome(_render, film, out, model)
    left = names_in(film.parent) - {film.name, work_folder(out).name}
    if outcome == "done":
        if left != {out.name} or work_folder(out).exists():
            return f"left {names_in(film.parent)}"
        return None if _decodes(out) else "its result does not decode"
    if outcome.split()[0] not in ("InputError", "OutputError"):
        return outcome
    return f"{outcome}, and left {left}" if left else None


def _decodes(out: Path) -> bool:
    try:
        return bool(picture_of(out))
    except OSError:
        return False


def _fuzz_film(worker: Worker, name: str, data: bytes, model: str, folder: Path, seeds: range):
    wrong = {}
    for seed in seeds:
        here = folder / f"{seed}"
        here.mkdir()
        film, out = here / name, here / f"out{('.mp4', '.mkv', '.mov')[seed % 3]}"
        film.write_bytes(broken(data, Random(seed)))
        complaint = _complaint(worker, film, out, model)
        if complaint:
            wrong[seed] = complaint
    assert not wrong


@pytest.mark.parametrize("name", FILMS)
def test_a_damaged_film_is_rendered_or_refused(name, worker, films, model, tmp_path):
    _fuzz_film(worker, name, films[name], model, tmp_path, range(7))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", FILMS)
def test_many_damaged_films_are_rendered_or_refused(name, worker, films, model, tmp_path):
    _fuzz_film(worker, name, films[name], model, tmp_path, range(7, 230))


def _load(folder: Path) -> None:
    Colorizer.load(str(folder), "cpu")


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("card.toml", range(40)),
        ("weights.safetensors", range(20)),
        pytest.param("card.toml", range(40, 1000), marks=SLOW),
        pytest.param("weights.safetensors", range(20, 400), marks=SLOW),
    ],
)
def test_a_damaged_model_loads_or_is_refused(name, seeds, worker, model, tmp_path):
    wrong = {}
    tiny_model(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for seed in seeds:
        (tmp_path / name).write_bytes(broken(whole, Random(seed)))
        outcome = worker.outcome(_load, tmp_path)
        if outcome.split()[0] not in ("done", ModelError.__name__):
            wrong[seed] = outcome
    assert not wrong


@dataclass(frozen=True)
class Interrupted:
    """A film, its whole result and the work folder that an interrupted render of it left."""

    film: Path
    whole: Path
    work: Path


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, model) -> Interrupted:
    folder = tmp_path_factory.mktemp("interrupted")
    film = draw_film_of_shots(folder / "film.mkv", shots=4)
    whole, out = folder / "whole.mkv", folder / "out.mkv"
    render(film, whole, _lossless(model))

    def stop(done: int) -> None:
        if done == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(film, out, _lossless(model), on_frame=stop)
    return Interrupted(film, whole, work_folder(out))


def _lossless(model: str) -> RenderOptions:
    return RenderOptions(model=model, device="cpu", codec="ffv1")


def _go_on(film: Path, out: Path, model: str) -> None:
    render(film, out, _lossless(model))


@pytest.mark.parametrize(
    ("pattern", "seeds"),
    [
        ("journal.jsonl", range(14)),
        ("*.nut", range(6)),
        pytest.param("journal.jsonl", range(14, 400), marks=SLOW),
        pytest.param("*.nut", range(6, 100), marks=SLOW),
    ],
)
def test_damage_to_what_is_done_does_not_reach_the_result(
    pattern, seeds, worker, model, interrupted, tmp_path
):
    wrong, out = {}, tmp_path / "out.mkv"
    for seed in seeds:
        out.unlink(missing_ok=True)
        shutil.rmtree(work_folder(out), ignore_errors=True)
        shutil.copytree(interrupted.work, work_folder(out))
        target = Random(seed).choice(sorted(work_folder(out).glob(pattern)))
        target.write_bytes(broken(target.read_bytes(), Random(seed)))
        outcome = worker.outcome(_go_on, interrupted.film, out, model)
        if outcome.split()[0] not in ("done", OutputError.__name__):
            wrong[seed] = outcome
        elif outcome == "done" and picture_of(out) != picture_of(interrupted.whole):
            wrong[seed] = "the result differs"
    assert not wrong
