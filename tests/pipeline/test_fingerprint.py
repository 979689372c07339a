"""What decides a result's frames is told apart; what does not, is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from vidcolor.options.render import RenderOptions
from vidcolor.pipeline import fingerprint as module
from vidcolor.pipeline.fingerprint import fingerprint
from vidcolor.pipeline.journal import Fingerprint
from vidcolor.pipeline.resolved_job import ResolvedJob, resolve_job


def _of(job: ResolvedJob, options: RenderOptions) -> Fingerprint:
    return fingerprint(job.film, options, job.model, job.guidance)


@pytest.mark.parametrize("whole_bytes", [module.WHOLE_BYTES, 1 << 10])
@pytest.mark.parametrize("place", [0.0, 1.0])
def test_a_film_of_the_same_size_with_another_content_is_another(
    draw, monkeypatch, whole_bytes, place
):
    monkeypatch.setattr(module, "WHOLE_BYTES", whole_bytes)
    monkeypatch.setattr(module, "PLACE_BYTES", 64)
    job = resolve_job(draw("film.mkv", frames=60, codec="ffv1"), RenderOptions())
    before = _of(job, RenderOptions())
    content = bytearray(job.film.path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    job.film.path.write_bytes(content)
    after = _of(job, RenderOptions())
    assert [name for name in before if before[name] != after[name]] == ["film"]


def test_a_film_under_another_name_is_the_same(draw):
    film = draw("film.mkv")
    again = film.rename(film.with_name("again.mkv"))
    one = _of(resolve_job(again, RenderOptions()), RenderOptions())
    assert _of(resolve_job(again.rename(film), RenderOptions()), RenderOptions()) == one


def test_only_options_that_decide_frames_count(draw):
    job = resolve_job(draw("film.mkv"), RenderOptions())
    plain = _of(job, RenderOptions())
    other = RenderOptions(
        device="cpu", overwrite=True, restart=True, verify="none", report=Path("r.json"),
        batch=3, min_size=64, max_pixels=9, strict=True,
    )  # fmt: skip
    assert _of(job, other) == plain
    for change in ({"crf": 20}, {"size": 128}, {"saturation": 0.5}, {"end": "1"}):
        changed = _of(job, replace(RenderOptions(), **change))
        assert [name for name in plain if plain[name] != changed[name]] == [
            f"--{next(iter(change))}"
        ]
