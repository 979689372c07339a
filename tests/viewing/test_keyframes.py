"""`vidcolor keyframes`: a picture a shot, named so that it is found again."""

import re
from fractions import Fraction

import numpy as np

from tests.clips import luma_of
from vidcolor.cli import app
from vidcolor.images.image_files import read_picture
from vidcolor.media.decode import read_frames
from vidcolor.media.frame import unit_luma
from vidcolor.media.probe import probe


def test_each_shot_gives_a_picture_of_one_of_its_frames(draw, tmp_path, capsys):
    film = draw(frames=60, cuts=(20, 45), width=96, height=64, rate=Fraction(24000, 1001))
    assert app.run(["keyframes", str(film), "--out", str(tmp_path / "keys")]) == 0
    paths = sorted((tmp_path / "keys").iterdir())
    assert "3 pictures" in capsys.readouterr().out
    spans = [(0, 20), (20, 45), (45, 60)]
    for number, (path, (first, end)) in enumerate(zip(paths, spans, strict=True), start=1):
        name = re.fullmatch(r"shot-(\d{4})@(\d\d)-(\d\d)-(\d\d\.\d{3})\.png", path.name)
        assert name is not None
        assert int(name[1]) == number
        seconds = int(name[2]) * 3600 + int(name[3]) * 60 + Fraction(name[4])
        frame = next(read_frames(probe(film), start=seconds))
        shown = round(frame.seconds * Fraction(24000, 1001))
        assert first <= shown < end
        picture = read_picture(path)
        assert np.ptp(picture, axis=2).max() <= 1
        np.testing.assert_allclose(picture[..., 0] / 255, unit_luma(frame), atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(frame.luma, luma_of(film)[shown])


def test_the_sharpest_frame_of_a_shot_is_taken(draw, monkeypatch, tmp_path):
    from vidcolor.viewing import shot_list

    film = draw(frames=12, width=96, height=64)
    sharp = 7

    def blurred_but_one(*args, **kwargs):
        for number, frame in enumerate(read_frames(*args, **kwargs)):
            if number != sharp:
                object.__setattr__(frame, "luma", np.full_like(frame.luma, 90))
            yield frame

    monkeypatch.setattr(shot_list, "read_frames", blurred_but_one)
    (shot,) = shot_list.list_shots(probe(film)).shots
    assert shot.key_frame == sharp


def test_pictures_that_are_there_are_not_written_over(draw, tmp_path, capsys):
    film = draw(frames=10)
    assert app.run(["keyframes", str(film)]) == 0
    assert app.run(["keyframes", str(film)]) == 4
    assert "exists already" in capsys.readouterr().err
