"""What a user gives is read once, when a run begins: an edit meanwhile changes nothing of it."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.clips import draw_clip, picture
from tests.faults import picture_of, tiny_model
from tests.pools import Shuffling
from vidcolor.errors import InputError, ModelError, OutputError
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import read_journal
from vidcolor.pipeline.resolved_job import resolve_render_job
from vidcolor.rendering.render import Rendered, render, render_job
from vidcolor.rendering.workdir import JOURNAL, folder_of

SIDECAR = '[[shot]]\nstart = "0"\nend = "1.2"\nsaturation = 0.5\nmask = "half:left"\n'
HINTS = '[[hint]]\ntime = 2.0\npoint = [30, 20]\ncolor = "#c04020"\n'
SCENES = "start\n0\n1.2\n"


@pytest.fixture
def film(tmp_path) -> Path:
    """Draw a film of two segments, with a file of each kind beside it."""
    film = draw_clip(tmp_path / "film.mkv", frames=80, cuts=(30,), codec="ffv1")
    (tmp_path / "film.vidcolor.toml").write_text(SIDECAR)
    (tmp_path / "hints.toml").write_text(HINTS)
    (tmp_path / "scenes.csv").write_text(SCENES)
    cv2.imwrite(str(tmp_path / "frame.png"), picture(20, 0, 64, 48)[..., ::-1])
    return film


def _options(film: Path, model: str) -> RenderOptions:
    folder = film.parent
    return RenderOptions(
        model=model, device="cpu", engine="torch", codec="ffv1", hints=folder / "hints.toml",
        scenes=folder / "scenes.csv", reference=(f"{folder / 'frame.png'}@0.8",),
    )  # fmt: skip


def _render(film: Path, name: str, model: str, **how: Any) -> Rendered:
    return render(film, film.with_name(name), _options(film, model), **how)


def _edit(film: Path) -> None:
    """Change every file that goes with a film, as a user might while it is rendered."""
    film.with_name("film.vidcolor.toml").write_text(SIDECAR.replace("0.5", "1.5"))
    film.with_name("hints.toml").write_text(HINTS.replace("c04020", "2040c0"))
    film.with_name("scenes.csv").write_text("start\n0\n2\n")


def _editing(film: Path, after: int, then: Callable[[], None]) -> Callable[[int], None]:
    def on_frame(done: int) -> None:
        if done == after:
            _edit(film)
            then()

    return on_frame


def test_files_that_are_edited_during_a_render_change_nothing_of_it(film, model):
    whole = _render(film, "whole.mkv", model)
    edited = _render(film, "edited.mkv", model, on_frame=_editing(film, 1, lambda: None))
    assert picture_of(edited.out) == picture_of(whole.out)
    later = _render(film, "later.mkv", model)
    assert picture_of(later.out) != picture_of(whole.out)


def test_workers_render_what_was_given_when_the_run_began(film, model):
    class Editing(Shuffling):
        def render_tasks(self, job, tasks):
            planned = list(tasks)
            _edit(film)
            yield from super().render_tasks(job, planned)

    whole = _render(film, "whole.mkv", model)
    done = _render(film, "out.mkv", model, pool=Editing())
    assert picture_of(done.out) == picture_of(whole.out)


def test_the_journal_tells_what_was_rendered_and_the_next_run_sees_the_edit(film, model):
    def stop() -> None:
        raise RuntimeError("stopped")

    out = film.with_name("out.mkv")
    before = resolve_render_job(film, _options(film, model), {}).fingerprint
    with pytest.raises(RuntimeError, match="stopped"):
        _render(film, out.name, model, on_frame=_editing(film, 40, stop))
    record = read_journal(folder_of(out) / JOURNAL)
    assert record is not None
    assert record.fingerprint == before
    assert [segment.number for segment in record.segments] == [0]
    with pytest.raises(OutputError, match=r"another list of shots and another sidecar and another"):
        _render(film, out.name, model)


def test_each_file_that_is_parsed_is_opened_once(film, model, monkeypatch):
    opened: Counter[str] = Counter()
    true_open = io.open

    def counting(file, *how, **more):
        opened[Path(file).name if isinstance(file, str | Path) else ""] += 1
        return true_open(file, *how, **more)

    monkeypatch.setattr(io, "open", counting)
    _render(film, "out.mkv", model, pool=Shuffling())
    names = ("film.vidcolor.toml", "hints.toml", "scenes.csv")
    assert {name: opened[name] for name in names} == dict.fromkeys(names, 1)


def test_a_picture_that_was_changed_is_refused(film, model):
    job = resolve_render_job(film, _options(film, model), {})
    cv2.imwrite(str(film.with_name("frame.png")), np.full((48, 64, 3), (9, 90, 200), np.uint8))
    with pytest.raises(InputError, match=r"frame\.png: was changed during the render; run the"):
        render_job(job, film.with_name("out.mkv"))


def test_a_model_that_was_changed_is_refused(film, tmp_path):
    model = tmp_path / "mine"
    tiny_model(model)
    job = resolve_render_job(film, _options(film, str(model)), {})
    (model / "card.toml").write_text((model / "card.toml").read_text() + "\n")
    with pytest.raises(ModelError, match="was changed during the render; run the command again"):
        render_job(job, film.with_name("out.mkv"))
