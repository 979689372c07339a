"""What is read back before a result gets its name, and what a join refuses."""

import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import audio_packets_of, luma_of, times_of
from tests.faults import files_no_larger_than
from tests.render_media import render, write_segments
from vidcolor.errors import OutputError
from vidcolor.files import sync_file
from vidcolor.media import mux
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.expected import TrackDigest
from vidcolor.media.mux import join
from vidcolor.media.output_plan import check_output
from vidcolor.media.probe import probe
from vidcolor.media.verify import verify
from vidcolor.options.render import RenderOptions


def written(path: Path, name: str, **options: Any):
    """Write a result as `join` does, and return it with all that it is verified by."""
    film = probe(path)
    plan = check_output(film, path.with_name(name), RenderOptions(**options), Changes())
    work = path.with_name("work")
    work.mkdir()
    segments = write_segments(film, plan, work)
    times = mux._times_of(segments, film, plan)
    whole = work / f"film{plan.out.suffix}"
    meant, _ = mux._write(whole, segments, film, plan, times, Changes())
    return whole, plan, meant


def spoil(path: Path, part: bytes) -> None:
    """Change one byte in the middle of `part`, wherever it stands in a file."""
    data = bytearray(path.read_bytes())
    data[data.index(part) + len(part) // 2] ^= 0x55
    path.write_bytes(data)


def last_picture(path: Path) -> bytes:
    """Return the packet before the last keyframe, which a quick look does not decode."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        number = max(n for n, packet in enumerate(packets) if packet.is_keyframe)
        return bytes(packets[number - 1])


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_full_verification_finds_a_changed_byte_of_sound(draw, name):
    whole, plan, meant = written(draw("a.mkv", frames=30, audio=2), name)
    verify(whole, replace(plan, verify="full"), meant)
    spoil(whole, audio_packets_of(whole)[1][20])
    verify(whole, plan, meant)
    with pytest.raises(OutputError, match="stream 2 reads back with different bytes"):
        verify(whole, replace(plan, verify="full"), meant)


def test_full_verification_finds_a_changed_byte_of_the_picture(draw):
    # FFmpeg's FFV1 decoder hides such damage, whatever it is told.
    whole, plan, meant = written(draw("a.mkv", frames=30), "out.mkv", codec="ffv1")
    verify(whole, replace(plan, verify="full"), meant)
    spoil(whole, last_picture(whole))
    verify(whole, plan, meant)
    with pytest.raises(OutputError, match="stream 0 reads back with different bytes"):
        verify(whole, replace(plan, verify="full"), meant)


def test_full_verification_finds_a_picture_that_does_not_decode(draw):
    whole, plan, meant = written(draw("a.mkv", frames=400), "out.mkv", crf=0)
    spoil(whole, last_picture(whole))
    verify(whole, plan, meant)
    with av.open(str(whole)) as container:
        meant.picture = TrackDigest()
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                meant.picture.add(packet.stream, packet)
    with pytest.raises(OutputError, match="of 400;"):
        verify(whole, replace(plan, verify="full"), meant)


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libx264", "out.mp4"),
        ("libx264", "out.mkv"),
        ("libx265", "out.mp4"),
        ("libx265", "out.mkv"),
        ("libsvtav1", "out.mp4"),
        ("libsvtav1", "out.mkv"),
        ("prores_ks", "out.mov"),
        ("prores_ks", "out.mkv"),
        ("ffv1", "out.mkv"),
    ],
)
def test_every_codec_passes_full_verification(draw, codec, name):
    render(draw("a.mkv", frames=30), name, codec=codec, verify="full", segments=2)


@pytest.mark.parametrize("mode", ["quick", "full"])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_result_that_was_cut_is_refused(draw, name, mode):
    whole, plan, meant = written(draw("a.mkv", frames=60, audio=1), name)
    os.truncate(whole, whole.stat().st_size * 2 // 3)
    with pytest.raises((OutputError, av.FFmpegError)):
        verify(whole, replace(plan, verify=mode), meant)


def test_no_verification_reads_nothing_back(draw):
    whole, plan, meant = written(draw("a.mkv", frames=5), "out.mkv")
    whole.unlink()
    verify(whole, replace(plan, verify="none"), meant)


@pytest.mark.parametrize("result", ["out.mp4", "out.mkv", "out.mov"])
def test_broadcast_sound_loses_only_its_headers(draw, result):
    path = draw("a.ts", frames=50, audio=2)
    out = render(path, result, verify="full")
    for meant, found in zip(audio_packets_of(path), audio_packets_of(out), strict=True):
        assert [packet[7:] for packet in meant] == found


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "flac", "ac3", "libopus", "mp2"])
@pytest.mark.parametrize("result", ["out.mp4", "out.mkv"])
def test_copied_sound_of_any_kind_passes_full_verification(draw, codec, result):
    path = draw("a.mkv", frames=50, audio=1, audio_codec=codec)
    out = render(path, result, verify="full")
    assert b"".join(audio_packets_of(out)[0]) == b"".join(audio_packets_of(path)[0])


def test_a_missing_attached_file_is_refused(draw):
    whole, plan, meant = written(draw("a.mkv", frames=5), "out.mkv")
    meant.attached = {3: b"digest"}
    with pytest.raises(OutputError, match="attached file of stream 3"):
        verify(whole, plan, meant)


def test_segments_that_were_encoded_otherwise_are_refused(draw, tmp_path):
    film = probe(draw(frames=20))
    work = tmp_path / "work"
    work.mkdir()
    out = tmp_path / "out.mp4"
    fast, slow = (
        check_output(film, out, RenderOptions(preset=preset), Changes())
        for preset in ("ultrafast", "medium")
    )
    first, second = write_segments(film, fast, work, 2)
    second.unlink()
    other = tmp_path / "other"
    other.mkdir()
    write_segments(film, slow, other, 2)[1].rename(second)
    with pytest.raises(OutputError, match=r"segment 1 was encoded differently.*--restart"):
        join([first, second], film, fast, Changes())
    assert first.exists()
    assert not out.exists()


def test_hundreds_of_segments_are_joined_without_keeping_them_open(draw, tmp_path):
    path = draw("a.mkv", frames=400, codec="ffv1", width=32, height=32)
    film = probe(path)
    plan = check_output(film, tmp_path / "out.mkv", RenderOptions(codec="ffv1"), Changes())
    work = tmp_path / "work"
    work.mkdir()
    segments = write_segments(film, plan, work, 400)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 12, hard))  # noqa: PTH208
    try:
        join(segments, film, plan, Changes())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert times_of(plan.out) == times_of(path)
    for wanted, found in zip(luma_of(path), luma_of(plan.out), strict=True):
        np.testing.assert_array_equal(wanted, found)


@pytest.mark.parametrize("name", ["out.mkv", "out.mov"])
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_a_disk_that_fills_up_while_joining_leaves_the_segments(draw, tmp_path, name, share):
    path = draw("a.mkv", frames=40, audio=1)
    film = probe(path)
    plan = check_output(film, tmp_path / name, RenderOptions(crf=0), Changes())
    work = tmp_path / "work"
    work.mkdir()
    segments = write_segments(film, plan, work, 4)
    before = {segment: segment.read_bytes() for segment in segments}
    join(segments, film, plan, Changes())
    size = int(plan.out.stat().st_size * share)
    plan.out.unlink()
    with files_no_larger_than(size), pytest.raises(OutputError, match="disk"):
        join(segments, film, plan, Changes())
    assert {file: file.read_bytes() for file in work.iterdir()} == before
    assert not plan.out.exists()
    join(segments, film, plan, Changes())
    assert times_of(plan.out) == times_of(path)


def test_the_result_is_on_the_disk_before_it_gets_its_name(draw, tmp_path, monkeypatch):
    film = probe(draw(frames=5))
    plan = check_output(film, tmp_path / "out.mp4", RenderOptions(), Changes())
    work = tmp_path / "work"
    work.mkdir()
    segments = write_segments(film, plan, work)
    order: list[tuple[str, str]] = []
    real_sync, real_replace = sync_file, Path.replace

    def sync(path):
        order.append(("sync", path.name))
        real_sync(path)

    def rename(path, to):
        order.append(("rename", path.name))
        return real_replace(path, to)

    monkeypatch.setattr(mux, "sync_file", sync)
    monkeypatch.setattr(Path, "replace", rename)
    join(segments, film, plan, Changes())
    assert order == [("sync", "film.mp4"), ("rename", "film.mp4"), ("sync", tmp_path.name)]


def test_a_quick_look_finds_sound_that_lacks_a_byte(draw):
    whole, plan, meant = written(draw("a.mkv", frames=5, audio=1), "out.mkv")
    meant.tracks[0].fingerprint.byte_count += 1
    with pytest.raises(OutputError, match="is incomplete"):
        verify(whole, plan, meant)
