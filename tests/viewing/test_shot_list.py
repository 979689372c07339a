"""`vidcolor shots`: what it lists is where the film's shots are."""

import json

import numpy as np
import pytest

from vidcolor.cli import app
from vidcolor.images.image_files import read_picture
from vidcolor.media.probe import probe
from vidcolor.viewing.shot_list import list_shots

CUTS = (20, 45)


@pytest.fixture
def film(draw):
    return draw(frames=60, cuts=CUTS, first_seconds=0.5, width=96, height=64)


def test_shots_are_told_by_frames_and_by_seconds_from_the_first_frame(film):
    found = list_shots(probe(film))
    spans = [(shot.first_frame, shot.last_frame) for shot in found.shots]
    assert spans == [(0, 19), (20, 44), (45, 59)]
    assert (found.frame_count, found.cuts) == (60, list(CUTS))
    assert [shot.begins for shot in found.shots] == ["start", "cut", "cut"]
    for shot in found.shots:
        assert shot.start_seconds == pytest.approx(shot.first_frame / 25)
        assert shot.end_seconds == pytest.approx((shot.last_frame + 1) / 25)
        assert shot.first_frame <= shot.key_frame <= shot.last_frame
        assert shot.key_seconds == pytest.approx(shot.key_frame / 25)


def test_json_says_all_that_was_found(film, capsys):
    assert app.run(["shots", str(film), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cuts"] == list(CUTS)
    assert told["transitions"] == []
    assert [shot["number"] for shot in told["shots"]] == [1, 2, 3]
    assert "key_picture" not in told["shots"][0]


def test_the_sheet_shows_each_shot_once(film, tmp_path, capsys):
    assert app.run(["shots", str(film), "--sheet", str(tmp_path / "shots.png")]) == 0
    sheet = read_picture(tmp_path / "shots.png")[28:, :, 0]
    paper = sheet[0, 0]
    columns = np.abs(sheet.astype(int) - paper).max(axis=0) > 20
    begins = np.flatnonzero(np.diff(columns.astype(int)) == 1)
    assert len(begins) == 3
    assert "00:00:00.800" in capsys.readouterr().out


def test_a_film_that_is_none_is_refused(tmp_path, capsys):
    (tmp_path / "film.mp4").write_text("no film")
    assert app.run(["shots", str(tmp_path / "film.mp4")]) == 3
    assert "film.mp4" in capsys.readouterr().err
