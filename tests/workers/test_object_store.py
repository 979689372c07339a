"""Stores: what is put is whole or not there, and what a render reads goes to other machines."""

import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pytest

from tests.faults import draw_film_of_shots, files_no_larger_than, names_in, tiny_model
from tests.stores import make_bucket, s3_server
from vidcolor.errors import OptionsError, OutputError
from vidcolor.files import digest
from vidcolor.guidance.open_guidance import open_given
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.output_plan import check_output
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.colorize import places_of
from vidcolor.pipeline.resolved_job import resolve_render_job
from vidcolor.pipeline.segment_job import Job, Renderer, SegmentTask, plan_segments
from vidcolor.pipeline.stabilizer import reach
from vidcolor.workers.job_shipping import Item, pack_job, put_segment, take_segment, unpack_job
from vidcolor.workers.object_cache import Cache
from vidcolor.workers.object_store import Store

pytest.importorskip("s3fs")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(params=["file", "s3"])
def store(request, tmp_path) -> Store:
    """Return an empty store of each kind."""
    if request.param == "file":
        return Store(f"file://{tmp_path}/store")
    request.getfixturevalue("server")
    return Store(make_bucket(f"films-{abs(hash(tmp_path))}") + "/some/prefix")


def test_what_is_put_into_a_store_is_fetched_from_it(store, tmp_path):
    film, copy = tmp_path / "film.mp4", tmp_path / "copy.mp4"
    content = np.random.default_rng(1).bytes(6_000_000)  # more than one part of an upload
    film.write_bytes(content)
    assert not store.has("files/a/film.mp4")
    store.put(film, "files/a/film.mp4")
    assert store.has("files/a/film.mp4")
    store.fetch("files/a/film.mp4", copy)
    assert copy.read_bytes() == content
    assert {name for name in names_in(tmp_path) if name.endswith(".part")} == set()


def test_a_text_that_is_put_again_is_the_later_one_and_one_that_is_not_there_is_none(
    store, tmp_path
):
    assert store.text("note.json") is None
    for words in ("first", "second"):
        (tmp_path / "note").write_text(words)
        store.put(tmp_path / "note", "note.json")
        assert store.text("note.json") == words


def test_what_is_not_in_a_store_is_one_line(store, tmp_path):
    with pytest.raises(OutputError, match=r"^--store (s3|file)://\S+: .*; check the address"):
        store.fetch("nothing", tmp_path / "copy")
    assert "copy" not in "".join(names_in(tmp_path))


def test_a_full_disk_leaves_no_half_file(store, tmp_path):
    (tmp_path / "film").write_bytes(b"x" * 300_000)
    store.put(tmp_path / "film", "film")
    with files_no_larger_than(100_000), pytest.raises(OutputError, match="--store"):
        store.fetch("film", tmp_path / "copy")
    assert "copy" not in "".join(names_in(tmp_path))


def test_a_full_store_shows_no_half_file(tmp_path):
    (tmp_path / "film").write_bytes(b"x" * 300_000)
    store = Store(f"file://{tmp_path}/store")
    with files_no_larger_than(100_000), pytest.raises(OutputError, match="--store file://"):
        store.put(tmp_path / "film", "files/film")
    assert not store.has("files/film")


def test_a_bucket_that_is_not_there_is_one_line(server, tmp_path):
    (tmp_path / "film").write_bytes(b"x")
    with pytest.raises(OutputError, match=r"^--store s3://nowhere: .*bucket.*; check"):
        Store("s3://nowhere").put(tmp_path / "film", "film")


@pytest.mark.parametrize(
    "options",
    [
        {"store": "ftp://films", "ray": "auto"},
        {"store": "s3://", "ray": "auto"},
        {"store": "folder", "ray": "auto"},
        {"store": "s3://films"},
        {"worker_gpus": 0.0},
        {"worker_gpus": 1.5},
        {"worker_cpus": -1.0},
    ],
)
def test_options_that_no_cluster_can_mean_are_refused(options):
    with pytest.raises(OptionsError, match=r"^--(store|worker-[cg]pus) .*; |: (must|Ray|is for)"):
        RenderOptions(**options)


def _item(store: Store, folder: Path, number: int) -> Item:
    (folder / "film").write_text(f"film {number}")
    store.put(folder / "film", f"files/{number}/film")
    return Item(f"/far/film-{number}.mp4", (("", f"files/{number}/film"),))


@pytest.fixture
def films(tmp_path) -> Store:
    return Store(f"file://{tmp_path}/store")


@pytest.fixture
def new_cache(tmp_path) -> Iterator[Callable[[Store], Cache]]:
    """Make caches in one folder, as the workers of a machine do; at the end they let go."""
    caches = []

    def make(store: Store) -> Cache:
        caches.append(Cache(tmp_path / "cache", store))
        return caches[-1]

    yield make
    for cache in caches:
        cache.keep([])


def test_workers_of_a_machine_fetch_a_film_once(films, new_cache, tmp_path):
    item = _item(films, tmp_path, 1)
    first, second = new_cache(films), new_cache(films)
    [place] = first.keep([item])
    assert (place.name, place.read_text()) == ("film-1.mp4", "film 1")
    (tmp_path / "store/files/1/film").unlink()
    assert second.keep([item]) == first.keep([item]) == [place]


def test_what_was_long_unused_is_removed_but_none_that_is_used(films, new_cache, tmp_path):
    used, unused, fresh = (_item(films, tmp_path, number) for number in range(3))
    user, other = new_cache(films), new_cache(films)
    places = [*user.keep([used]), *other.keep([unused]), *other.keep([fresh])]
    for item in (used, unused):
        os.utime(tmp_path / "cache" / f"{item.digest}.lock", (0, 0))
    other.keep([fresh])
    assert [place.exists() for place in places] == [True, False, True]
    assert not (tmp_path / "cache" / f"{unused.digest}.lock").exists()
    user.keep([fresh])
    assert places[0].exists(), "it was used until now"
    assert other.keep([unused])[0].read_text() == "film 1"


def test_what_a_killed_worker_left_half_fetched_is_fetched_anew(films, new_cache, tmp_path):
    item = _item(films, tmp_path, 1)
    draft = tmp_path / "cache" / f"{item.digest}.part"
    draft.mkdir(parents=True)
    (draft / "film-1.mp4.0a1b.part").write_text("fil")
    [place] = new_cache(films).keep([item])
    assert place.read_text() == "film 1"
    assert names_in(place.parent) == {"film-1.mp4"}
    assert not draft.exists()


def test_a_worker_waits_for_another_that_fetches_the_same(films, new_cache, tmp_path):
    item = _item(films, tmp_path, 1)
    (tmp_path / "cache").mkdir()
    place = tmp_path / "cache" / item.digest / "film-1.mp4"
    found: list[Path] = []
    waiting = Thread(target=lambda: found.extend(new_cache(films).keep([item])))
    with (tmp_path / "cache" / f"{item.digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        place.parent.mkdir()
        place.write_text("as the other fetched it")
    waiting.join()
    assert found == [place]
    assert place.read_text() == "as the other fetched it"


def _job(film_path: Path, out: Path, **wanted: Any) -> tuple[Job, list[SegmentTask]]:
    """Return a job as `render` makes it, and its parts."""
    options = RenderOptions(device="cpu", codec="ffv1", **wanted)
    resolved = resolve_render_job(film_path, options, {})
    film = resolved.film
    plan = check_output(film, out, options, Changes())
    given = tuple(open_given(film, resolved.guidance))
    out.with_suffix(".work").mkdir(parents=True)
    job = Job(**vars(resolved), plan=plan, given=given, folder=out.with_suffix(".work"))
    places = places_of(read_frames(film), job, job.guidance.open_masks(film))
    return job, list(plan_segments(places, lambda _: True, reach(options.stabilize)))


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Return a folder with all that a render can read, to which relative names lead."""
    home = tmp_path / "home"
    home.mkdir()
    draw_film_of_shots(home / "film.mkv", shots=2, width=96, height=64)
    tiny_model(home / "model")
    mask = np.zeros((64, 96), np.uint8)
    mask[:, :48] = 255
    cv2.imwrite(str(home / "mask.png"), mask)
    red = np.zeros((64, 96, 3), np.uint8)
    red[:, :, 2] = 200
    cv2.imwrite(str(home / "look.png"), red)
    (home / "hints.toml").write_text(
        '[[hint]]\ntime = "0.4"\npoint = [20, 20]\ncolor = "#20a040"\n'
    )
    (home / "film.vidcolor.toml").write_text(
        '[[shot]]\nstart = "0"\nend = "0.5"\nsaturation = 0.5\n'
    )
    monkeypatch.chdir(home)
    return home


EVERYTHING = {"mask": "mask.png", "reference": ("look.png",), "hints": Path("hints.toml")}


def test_a_segment_is_the_same_where_nothing_that_it_was_made_of_lies(
    home, store, new_cache, tmp_path, monkeypatch
):
    job, parts = _job(Path("film.mkv"), tmp_path / "near.mkv", model="model", **EVERYTHING)
    near = Renderer().render(job, parts[0])
    packed = pack_job(job, store)
    home.rename(tmp_path / "moved")
    home.mkdir()
    monkeypatch.chdir(home)  # else names would count from where all has moved

    far = tmp_path / "far"
    far.mkdir()
    there = unpack_job(packed, new_cache(store).keep(packed.items), far)
    segment = Renderer().render(there, parts[0])
    assert digest(far / segment.name) == near.sha256
    assert replace(segment, name=near.name, stage_seconds=near.stage_seconds) == near


def test_pictures_of_a_film_go_to_other_machines(films, new_cache, tmp_path):
    frames = tmp_path / "home" / "frames"
    frames.mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(frames / f"{number:03}.png"), np.full((48, 64), 60 * number, np.uint8))
    model = tiny_model(tmp_path / "home" / "model")
    job, [part] = _job(frames, tmp_path / "near.mkv", model=model)
    near = Renderer().render(job, part)
    packed = pack_job(job, films)
    (tmp_path / "home").rename(tmp_path / "moved")
    there = unpack_job(packed, new_cache(films).keep(packed.items), tmp_path)
    assert Renderer().render(there, part).sha256 == near.sha256


def test_what_is_in_the_store_is_not_put_there_again(home, films):
    job, _ = _job(Path("film.mkv"), home / "out.mkv", model="model")
    pack_job(job, films)
    [film] = (home.parent / "store/files").glob("*/film.mkv")
    before = film.stat().st_mtime_ns
    assert {item.path for item in pack_job(job, films).items} == {
        str(home / name) for name in ("film.mkv", "model")
    }
    assert film.stat().st_mtime_ns == before


def test_a_segment_is_found_again_by_another_run(home, store):
    job, parts = _job(Path("film.mkv"), home / "one.mkv", model="model")
    assert take_segment(job, parts[0], store) is None
    segment = Renderer().render(job, parts[0])
    put_segment(segment, job, store)

    other, _ = _job(Path("film.mkv"), home / "two.mkv", model="model")
    assert take_segment(other, parts[0], store) == segment
    assert digest(other.folder / segment.name) == segment.sha256
    assert take_segment(other, parts[1], store) is None
    redder, _ = _job(Path("film.mkv"), home / "red.mkv", model="model", temperature=20.0)
    assert take_segment(redder, parts[0], store) is None


def test_a_segment_that_is_not_of_the_planned_frames_or_damaged_is_not_taken(home, films, caplog):
    job, parts = _job(Path("film.mkv"), home / "one.mkv", model="model")
    segment = Renderer().render(job, parts[0])
    put_segment(replace(segment, first_luma=segment.first_luma ^ 1), job, films)
    assert take_segment(job, parts[0], films) is None
    put_segment(segment, job, films)
    [stored] = (home.parent / "store").glob(f"segments/*/{segment.name}")
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    assert take_segment(job, parts[0], films) is None
    assert "damaged in the store; rendering it again" in caplog.text
    assert not (job.folder / segment.name).exists()
