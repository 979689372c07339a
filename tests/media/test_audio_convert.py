"""Sound that a container lacks is converted without loss: its samples, times and notes are kept."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import audio_packets_of, times_of
from tests.render_media import render
from tests.sounds import RATE, film_with_sound, noise, sound_of
from vidcolor.errors import InputError, OutputError
from vidcolor.media import audio_convert
from vidcolor.media.conversion_warnings import Changes


@pytest.mark.parametrize(
    ("codec", "name", "result", "becomes"),
    [
        ("pcm_mulaw", "a.mov", "out.mkv", "flac"),
        ("pcm_mulaw", "a.mov", "out.mp4", "flac"),
        ("pcm_alaw", "a.avi", "out.mkv", "flac"),
        ("pcm_u8", "a.avi", "out.mp4", "flac"),
        ("pcm_s8", "a.mov", "out.mkv", "flac"),
        ("pcm_f32be", "a.mov", "out.mkv", "pcm_f32le"),
        ("pcm_f64be", "a.mov", "out.mkv", "pcm_f64le"),
        ("adpcm_ms", "a.avi", "out.mp4", "flac"),
        ("adpcm_ima_wav", "a.avi", "out.mov", "alac"),
        ("flac", "a.mkv", "out.mov", "alac"),
        ("wavpack", "a.mkv", "out.mp4", "flac"),
    ],
)
def test_every_sample_is_kept(tmp_path, codec, name, result, becomes):
    path = film_with_sound(tmp_path / name, codec, noise(1.5))
    out = render(path, result)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == becomes
    wanted, _ = sound_of(path)
    found, _ = sound_of(out)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("codec", "name", "result"),
    [
        ("libopus", "a.mkv", "out.mov"),
        ("wmav2", "a.avi", "out.mkv"),
        ("wmav2", "a.avi", "out.mp4"),
    ],
)
def test_lossy_sound_is_rounded_to_24_bits_and_that_is_said(tmp_path, caplog, codec, name, result):
    rate = 48000
    tone = np.sin(np.arange(96000) / 20)[:, None].astype(np.float32) / 2
    path = film_with_sound(tmp_path / name, codec, tone, rate=rate)
    out = render(path, result)
    wanted, wanted_start = sound_of(path)
    found, start = sound_of(out)
    assert abs(start - wanted_start) <= 1e-3
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2**-24)
    assert re.search("24-bit (FLAC|ALAC), rounded", caplog.text)


def test_language_title_and_disposition_of_converted_sound_are_kept(tmp_path):
    path = film_with_sound(tmp_path / "a.mkv", "flac", noise(1))
    with av.open(str(render(path, "out.mov"))) as container:
        sound = container.streams.audio[0]
        assert sound.metadata["language"] == "fra"
        assert sound.metadata["handler_name"] == "Musique"
    path = film_with_sound(tmp_path / "b.mov", "pcm_mulaw", noise(1), title="")
    with av.open(str(render(path, "out.mkv"))) as container:
        assert container.streams.audio[0].metadata["language"] == "fra"


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "5.1(side)", "7.1"])
@pytest.mark.parametrize(("codec", "result"), [("flac", "out.mov"), ("wavpack", "out.mp4")])
def test_channels_keep_their_places(tmp_path, layout, codec, result):
    channels = av.AudioLayout(layout).nb_channels
    path = film_with_sound(tmp_path / "a.mkv", codec, noise(1, channels), layout=layout)
    out = render(path, result)
    with av.open(str(path)) as source, av.open(str(out)) as container:
        meant = source.streams.audio[0].codec_context.layout.name
        assert container.streams.audio[0].codec_context.layout.name == meant
    np.testing.assert_array_equal(sound_of(out)[0], sound_of(path)[0])


def test_eight_channels_in_planes_are_decoded(tmp_path):
    path = film_with_sound(tmp_path / "a.mkv", "libopus", noise(1, 8), layout="7.1", rate=48000)
    wanted = float(noise(1).size) / 48000
    found, _ = sound_of(render(path, "out.mov"))
    assert found.shape[1] == 8
    assert len(found) / 48000 == pytest.approx(wanted, abs=0.02)


def test_channels_whose_places_cannot_be_noted_are_said(tmp_path, caplog):
    path = film_with_sound(tmp_path / "a.mov", "pcm_f32be", noise(1, 6), layout="5.1")
    out = render(path, "out.mkv")
    assert "without its channel layout (5.1)" in caplog.text
    np.testing.assert_array_equal(sound_of(out)[0], sound_of(path)[0])


def test_a_late_start_of_the_sound_is_kept(tmp_path):
    path = film_with_sound(tmp_path / "a.mkv", "flac", noise(1), start=0.5)
    found, start = sound_of(render(path, "out.mov"))
    assert start == pytest.approx(0.5, abs=1e-3)
    assert len(found) == RATE


def with_moved_packets(path: Path, to: Path, move: Callable[[float], float | None]) -> Path:
    """Copy a film, with the time of each sound packet `move(seconds)`; None leaves it out."""
    with av.open(str(path)) as source, av.open(str(to), "w") as output:
        added = {s.index: output.add_stream_from_template(s) for s in source.streams}
        packet: Any
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                seconds = move(float(packet.pts * packet.time_base))
                if seconds is None:
                    continue
                packet.pts = packet.dts = round(seconds / packet.time_base)
            packet.stream = added[packet.stream.index]
            output.mux(packet)
    return to


def test_a_gap_becomes_silence_of_its_length(tmp_path):
    whole = film_with_sound(tmp_path / "whole.mkv", "flac", noise(6))
    path = with_moved_packets(
        whole, tmp_path / "a.mkv", lambda seconds: None if 1.5 < seconds < 3.5 else seconds
    )
    wanted, _ = sound_of(whole)
    found, _ = sound_of(render(path, "out.mov"))
    assert found.shape == wanted.shape
    silent = np.flatnonzero(~found.any(axis=1))
    assert len(silent) == silent[-1] - silent[0] + 1 > RATE
    kept = np.setdiff1d(np.arange(len(wanted)), silent)
    np.testing.assert_array_equal(found[kept], wanted[kept])


def test_times_that_tremble_make_no_gaps(tmp_path):
    whole = film_with_sound(tmp_path / "whole.mkv", "flac", noise(4))
    path = with_moved_packets(
        whole, tmp_path / "a.mkv", lambda seconds: seconds + 0.003 * (round(seconds * 100) % 3)
    )
    found, _ = sound_of(render(path, "out.mov"))
    np.testing.assert_array_equal(found, sound_of(whole)[0])


def test_a_broken_clock_makes_no_days_of_silence(tmp_path, caplog):
    whole = film_with_sound(tmp_path / "whole.mkv", "flac", noise(4))
    path = with_moved_packets(
        whole, tmp_path / "a.mkv", lambda seconds: seconds + (1e6 if seconds > 1 else 0)
    )
    found, _ = sound_of(render(path, "out.mov"))
    np.testing.assert_array_equal(found, sound_of(whole)[0])
    assert "could not be used" in caplog.text


@pytest.mark.parametrize(
    ("name", "codec", "result"),
    [("a.mkv", "flac", "out.mov"), ("a.mov", "pcm_alaw", "out.mkv")],
)
def test_a_part_has_its_own_sound_to_the_sample(tmp_path, name, codec, result):
    path = film_with_sound(tmp_path / name, codec, noise(2))
    out = render(path, result, start="0.52", end="1.52")
    found, start = sound_of(out)
    assert start == times_of(out)[0] == 0
    first = round(0.52 * RATE)
    np.testing.assert_array_equal(found, sound_of(path)[0][first : first + RATE])


def test_damaged_sound_is_silent_there_and_said(tmp_path, caplog):
    path = film_with_sound(tmp_path / "a.mkv", "flac", noise(6))
    wanted, _ = sound_of(path)
    data = bytearray(path.read_bytes())
    packet = audio_packets_of(path)[0][3]
    where = data.index(packet)
    data[where : where + 40] = bytes(40)
    path.write_bytes(data)
    found, _ = sound_of(render(path, "out.mov"))
    assert found.shape == wanted.shape
    assert "1 packets of stream 1 (audio flac fra) could not be used" in caplog.text
    with pytest.raises(InputError, match="could not be used"):
        render(path, "strict.mov", join_changes=Changes(strict=True))


def test_sound_that_changes_on_the_way_is_refused(tmp_path, monkeypatch):
    path = film_with_sound(tmp_path / "a.mkv", "flac", noise(1))
    real = audio_convert.samples_of
    monkeypatch.setattr(
        audio_convert, "samples_of", lambda frame, bits: real(frame, bits).astype(np.float32)
    )
    with pytest.raises(OutputError, match="changes its sample rate"):
        render(path, "out.mov")
