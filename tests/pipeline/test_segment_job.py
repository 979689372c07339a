"""A part holds what its segment's colors depend on, and gives the very frames of the line."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import HARD_TO_ENTER, draw_clip, picture
from tests.faults import picture_of
from tests.models import Embedding
from tests.pools import Shuffling
from tests.reels import draw_dissolves
from tests.renders import render_lossless
from vidcolor.errors import InputError
from vidcolor.media import decode
from vidcolor.network.families import FAMILIES
from vidcolor.pipeline import segment_job as parts_module
from vidcolor.pipeline.segment_job import FrameStub, plan_segments
from vidcolor.pipeline.stabilizer import reach
from vidcolor.pipeline.threads import ThreadedStages
from vidcolor.shots.segments import PlacedFrame

FRAMES = 130
CUTS = (30, 70, 95)
REACH = 3

segment_lengths = st.lists(st.integers(REACH + 1, 12), min_size=1, max_size=5)


def _film_of(lengths: list[int], starts: set[int]) -> list[PlacedFrame[Any]]:
    """Return frames of segments so long, with shots that start at some of them."""
    segments = [number for number, length in enumerate(lengths) for _ in range(length)]
    return [
        PlacedFrame(
            SimpleNamespace(pts=number, luma=np.full((1, 1), number % 251)),
            number in starts or number == 0,
            segment,
        )
        for number, segment in enumerate(segments)
    ]


@dataclass
class _Needed:
    """What a segment's frames depend on, frame by frame, said in other words."""

    near: list[int]
    opener: int | None


def _needed(places: list[PlacedFrame[Any]], segment: int) -> _Needed:
    own = [n for n, place in enumerate(places) if place.segment == segment]
    near = set(own)
    for step in (-1, 1):
        for frame in own:
            for distance in range(1, REACH + 1):
                other = frame + step * distance
                between = places[min(frame, other) + 1 : max(frame, other) + 1]
                if 0 <= other < len(places) and not any(p.starts_shot for p in between):
                    near.add(other)
    first = min(near)
    firsts = [
        n
        for n, place in enumerate(places)
        if place.starts_shot or n == 0 or place.segment != places[n - 1].segment
    ]
    embedded_from = max(n for n in firsts if n <= first)
    return _Needed(sorted(near), None if embedded_from == first else embedded_from)


@given(segment_lengths, st.data())
def test_a_part_is_its_segment_the_neighbours_in_its_shot_and_what_these_are_embedded_from(
    lengths, data
):
    starts = data.draw(st.sets(st.integers(0, sum(lengths) - 1)))
    wanted = data.draw(st.sets(st.integers(0, len(lengths) - 1)))
    places = _film_of(lengths, starts)
    planned = list(plan_segments(places, wanted.__contains__, REACH))
    assert [part.number for part in planned] == sorted(wanted)
    for part in planned:
        needed = _needed(places, part.number)
        assert [frame.pts for frame in part.frames] == needed.near
        assert (part.opener and part.opener.pts) == needed.opener
        for frame in part.all_frames:
            place = places[frame.pts]
            assert frame.starts_shot == place.starts_shot
            assert (frame.segment, frame.shot_weight) == (place.segment, place.shot_weight)


@given(segment_lengths)
def test_the_first_frame_of_each_segment_can_be_told_by_its_luma(lengths):
    for part in plan_segments(_film_of(lengths, set()), lambda number: True, REACH):
        before = part.number - 1
        for frame in part.all_frames:
            assert (frame.luma is not None) == (frame.segment > before) or frame is part.opener
            before = frame.segment if frame.luma is not None else before


def test_a_part_is_planned_as_soon_as_its_neighbours_are_seen():
    drawn = []

    def places():
        for place in _film_of([10, 10, 10], set()):
            drawn.append(place)
            yield place

    for part in plan_segments(places(), lambda number: True, REACH):
        assert len(drawn) == min(30, 10 * (part.number + 1) + REACH)


@pytest.mark.parametrize("name", HARD_TO_ENTER)
def test_parts_in_any_order_are_the_film(draw, model, name):
    film = draw(name, frames=FRAMES, cuts=CUTS, **HARD_TO_ENTER[name])
    whole = render_lossless(film, "whole.mkv", model)
    done = render_lossless(film, "out.mkv", model, pool=Shuffling())
    assert picture_of(done.out) == picture_of(whole.out)
    assert (done.segment_count, done.shot_count) == (whole.segment_count, whole.shot_count)
    assert done.changes == whole.changes


def test_parts_of_a_span_are_the_span(draw, model):
    film = draw("film.mp4", frames=FRAMES, cuts=CUTS)
    span = {"start": "0.52", "end": "4.4", "batch": 3}
    whole = render_lossless(film, "whole.mkv", model, **span)
    done = render_lossless(film, "out.mkv", model, **span, pool=Shuffling())
    assert picture_of(done.out) == picture_of(whole.out)


def test_parts_of_dissolves_are_those_of_the_line(tmp_path, model):
    film = draw_dissolves(tmp_path / "film.mkv")
    whole = render_lossless(film, "whole.mkv", model)
    done = render_lossless(film, "out.mkv", model, pool=Shuffling())
    assert picture_of(done.out) == picture_of(whole.out)


@pytest.fixture
def embedding(monkeypatch):
    """Let the tiny model tell every frame what its shot began with."""
    family = replace(FAMILIES["temporal-unet"], network=Embedding)
    monkeypatch.setitem(FAMILIES, "temporal-unet", family)


def test_parts_of_a_long_shot_know_what_it_was_embedded_from(draw, model, embedding):
    film = draw("film.mkv", frames=500, codec="ffv1")
    whole = render_lossless(film, "whole.mkv", model)
    done = render_lossless(film, "out.mkv", model, pool=Shuffling(2))
    assert (done.segment_count, done.shot_count) == (3, 1)
    assert picture_of(done.out) == picture_of(whole.out)


def test_parts_have_the_colors_that_are_given_and_the_settings_of_their_shots(tmp_path, model):
    film = draw_clip(tmp_path / "film.mkv", frames=80, cuts=(30,), codec="ffv1")
    reference = tmp_path / "frame.png"
    cv2.imwrite(str(reference), picture(20, 0, 64, 48)[..., ::-1])
    hints = tmp_path / "hints.toml"
    hints.write_text('[[hint]]\ntime = 2.0\npoint = [30, 20]\ncolor = "#c04020"\n')
    (tmp_path / "film.vidcolor.toml").write_text(
        '[[shot]]\nstart = "0"\nend = "1.2"\nsaturation = 0.5\nmask = "half:left"\n'
    )
    given = {"reference": (f"{reference}@0.8",), "hints": hints}
    plain = render_lossless(film, "plain.mkv", model, sidecar="none")
    whole = render_lossless(film, "whole.mkv", model, **given)
    done = render_lossless(film, "out.mkv", model, **given, pool=Shuffling())
    assert picture_of(done.out) == picture_of(whole.out) != picture_of(plain.out)


def _planned(film: Path, model: str) -> tuple[Any, list[Any]]:
    """Return the job and the parts of a film, of which nothing is rendered."""
    found: list[Any] = []

    class Taking(Shuffling):
        def render_tasks(self, job, tasks):
            found.extend((job, list(tasks)))
            yield from ()

    with pytest.raises(InputError):
        render_lossless(film, "never.mkv", model, pool=Taking())
    return found[0], found[1]


def test_only_what_a_part_needs_is_decoded(draw, model, monkeypatch):
    film = draw("film.mkv", frames=500, codec="ffv1")
    job, (first, second, third) = _planned(film, model)
    job.folder.mkdir()
    counts = []
    read_frames = decode.read_frames

    def counted(*seen, **how):
        counts.append(0)
        for frame in read_frames(*seen, **how):
            counts[-1] += 1
            yield frame

    monkeypatch.setattr(parts_module, "read_frames", counted)
    renderer = parts_module.Renderer()
    for part, expected in (
        (first, [240 + reach(1)]),
        (second, [1, 240 + 2 * reach(1)]),
        (third, [1, 20 + reach(1)]),
    ):
        counts.clear()
        assert renderer.render(job, part).frame_count in (240, 20)
        assert counts == expected


def test_a_film_that_cannot_be_entered_is_read_from_its_beginning(draw, model, monkeypatch):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    whole = render_lossless(film, "whole.mkv", model)
    entered = parts_module._from
    monkeypatch.setattr(
        parts_module, "_from", lambda frame, film: islice(entered(frame, film), 1, None)
    )
    done = render_lossless(film, "out.mkv", model, pool=Shuffling())
    assert picture_of(done.out) == picture_of(whole.out)


def test_other_pictures_than_those_planned_are_refused(draw, model):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    job, (part, *_) = _planned(film, model)
    job.folder.mkdir()
    renderer = parts_module.Renderer()

    def changed(number, **changes):
        frames: list[FrameStub] = list(part.frames)
        frames[number] = replace(frames[number], **changes)
        return replace(part, frames=tuple(frames))

    assert renderer.render(job, changed(0)).frame_count == 30
    for other in (changed(0, luma=5), changed(0, pts=1), changed(9, pts=1)):
        with pytest.raises(InputError, match=r"decodes differently each time.*--workers 1"):
            renderer.render(job, other)
    assert len(list(job.folder.iterdir())) == 1


def test_a_worker_computes_as_many_frames_at_once_as_it_has_threads(draw, model, monkeypatch):
    film = draw("film.mkv", frames=30, codec="ffv1")
    job, (part,) = _planned(film, model)
    job.folder.mkdir()
    seen = []

    def noted(threads):
        seen.append((threads, torch.get_num_threads()))
        return ThreadedStages(threads)

    monkeypatch.setattr(parts_module, "ThreadedStages", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        parts_module.Renderer().render(job, part)
    finally:
        torch.set_num_threads(before)
    assert seen == [(3, 1)]


def test_two_tries_of_a_part_write_two_files(draw, model):
    film = draw("film.mkv", frames=30, codec="ffv1")
    job, (part,) = _planned(film, model)
    job.folder.mkdir()
    renderer = parts_module.Renderer()
    first, second = renderer.render(job, part), renderer.render(job, part)
    assert first.name != second.name
    assert first.sha256 == second.sha256
    assert {first.name, second.name} == {path.name for path in job.folder.iterdir()}
