"""Bad input ends in one clear InputError; damage gives what can be decoded, said, or an error."""

import os
import socket
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import luma_of, times_of
from vidcolor.errors import InputError, OptionsError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.probe import probe


def _refused(path: Path, words: str, **options) -> str:
    with pytest.raises(InputError, match=words) as caught:
        list(read_frames(probe(path, **options)))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1/a.mp4", "concat:a.mp4|b.mp4", "pipe:0", "subfile,,start,0,end,9,,:a",
             "data:video/mp4;base64,AAAA", "tcp://127.0.0.1:9", "crypto:a.mp4", "cache:a.mp4"]
)  # fmt: skip
def test_addresses_are_not_read(draw, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw("a.mp4", frames=1)
    _refused(Path(name), "no such file")


def test_a_name_that_can_be_none_is_refused(tmp_path):
    _refused(tmp_path / ("x" * 300 + ".mp4"), "cannot be opened")
    _refused(tmp_path / "a\0b.mp4", "cannot be opened|no such file")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "film.mp4")
    _refused(tmp_path / "film.mp4", "is a pipe or a device")
    _refused(Path("/dev/zero"), "is a pipe or a device")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_film_is_refused(draw):
    path = draw(frames=1)
    path.chmod(0)
    _refused(path, "cannot be read")
    path.chmod(stat.S_IRWXU)


def test_sound_alone_is_refused(draw, tmp_path):
    film, sound = draw(frames=10, audio=1), tmp_path / "sound.mp4"
    with av.open(str(film)) as source, av.open(str(sound), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    _refused(sound, "has no video")


@pytest.mark.parametrize(("name", "kept"), [("a.mp4", 100), ("a.mkv", 300), ("a.avi", 2000)])
def test_a_header_without_frames_is_refused(draw, name, kept):
    path = draw(name, frames=3, width=160, height=120)
    path.write_bytes(path.read_bytes()[:kept])
    _refused(path, "FFmpeg cannot read it|no frame of its video|has no video")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("a.mkv", b"V_MPEG4/ISO/AVC", b"V_XPEG4/XSO/XVC"), ("a.mp4", b"avc1", b"zzz1")],
)
def test_an_unknown_codec_is_refused(draw, name, old, new):
    path = draw(name, frames=3)
    data = path.read_bytes()
    at = data.rindex(old)
    path.write_bytes(data[:at] + new + data[at + len(old) :])
    _refused(path, "no decoder for its video codec")


def test_an_encrypted_mp4_is_refused(draw, tmp_path):
    key = "00112233445566778899aabbccddeeff"
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": key}
    locked = tmp_path / "locked.mp4"
    with (
        av.open(str(draw(frames=5))) as source,
        av.open(str(locked), "w", container_options=scheme) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    _refused(locked, "is encrypted")


def _element(name: bytes, content: bytes) -> bytes:
    """Return an element of EBML (RFC 8794) whose size takes eight bytes."""
    return name + (len(content) | 1 << 56).to_bytes(8) + content


def _with_encryption(data: bytes) -> bytes:
    """Return a live Matroska file whose first track is said to be encrypted (RFC 9559)."""
    encryption = _element(b"\x47\xe1", b"\x05") + _element(b"\x47\xe2", b"0123456789abcdef")
    encoding = _element(b"\x50\x33", b"\x01") + _element(b"\x50\x35", encryption)
    encodings = _element(b"\x6d\x80", _element(b"\x62\x40", encoding))
    tracks_at = data.rindex(b"\x16\x54\xae\x6b")  # the first is that of the seek head
    entry_at = data.index(b"\xae", tracks_at + 4)
    tracks_start, tracks_size = _size_at(data, tracks_at + 4)
    entry_start, entry_size = _size_at(data, entry_at + 1)
    entry = _element(b"\xae", data[entry_start : entry_start + entry_size] + encodings)
    rest = data[entry_start + entry_size : tracks_start + tracks_size]
    tracks = _element(b"\x16\x54\xae\x6b", data[tracks_start:entry_at] + entry + rest)
    return data[:tracks_at] + tracks + data[tracks_start + tracks_size :]


def _size_at(data: bytes, at: int) -> tuple[int, int]:
    """Return where an element's content starts, and its size."""
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + length]) & ((1 << 7 * length) - 1)
    return at + length, size


def test_an_encrypted_matroska_is_refused(draw, tmp_path):
    locked = tmp_path / "locked.mkv"
    with (
        av.open(str(draw(frames=5))) as source,
        av.open(str(locked), "w", container_options={"live": "1", "write_crc32": "0"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    plain = locked.read_bytes()
    assert len(list(read_frames(probe(locked)))) == 5
    locked.write_bytes(_with_encryption(plain))
    _refused(locked, "is encrypted")


HUGE = """
import re, sys
from pathlib import Path
from vidcolor.media.probe import probe
from vidcolor.errors import InputError

def peak():  # ru_maxrss would begin at that of the process that started this one
    return int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
try:
    probe(sys.argv[1], max_pixels=1)
except InputError as error:
    print(error)
print((peak() - before) // 1024)
"""


@pytest.mark.parametrize(
    ("name", "codec", "size"),
    [
        ("a.mov", "png", (16384, 8192)),
        ("a.gif", "gif", (16384, 8192)),
        ("a.mkv", "ffv1", (2048, 1024)),
        ("a.mp4", "libx264", (2048, 1024)),
    ],
)
def test_a_huge_picture_is_refused_before_it_takes_memory(tmp_path, name, codec, size):
    pix_fmt, (width, height) = ("yuv420p" if codec == "libx264" else "gray"), size
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        frame = av.VideoFrame(width, height, pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    message, grown = subprocess.run(
        [sys.executable, "-c", HUGE, str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "--max-pixels" in message
    assert int(grown) < 60  # MB; the decoded picture of PNG has 128
    assert probe(path, max_pixels=135).width == width


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{url}'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{url}'
        "</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    ],
)
@pytest.mark.parametrize("name", ["film.mp4", "film.m3u8", "film.ffconcat", "film.mpd", "film.sdp"])
def test_playlists_are_refused_and_nothing_they_name_is_asked_for(draw, tmp_path, text, name):
    draw("other.mp4", frames=1)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    port = listener.getsockname()[1]
    path = tmp_path / name
    for url in (f"http://127.0.0.1:{port}/x.mp4", "other.mp4"):
        path.write_text(text.format(url=url, port=port))
        _refused(path, "FFmpeg cannot read it")
    with listener, pytest.raises(TimeoutError):
        listener.accept()


def _with_reference(data: bytes, target: bytes) -> bytes:
    """Return a MOV file whose frames are said to lie in another file (a data reference)."""
    at = data.index(b"dref") - 4
    size = int.from_bytes(data[at : at + 4])
    entry = b"url " + b"\x00\x00\x00\x00" + target + b"\x00"
    entry = (len(entry) + 4).to_bytes(4) + entry
    dref = b"dref" + bytes(4) + (1).to_bytes(4) + entry
    dref = (len(dref) + 4).to_bytes(4) + dref
    grown = len(dref) - size
    data = data[:at] + dref + data[at + size :]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = data.index(box) - 4
        new = int.from_bytes(data[place : place + 4]) + grown
        data = data[:place] + new.to_bytes(4) + data[place + 4 :]
    return data


@pytest.mark.parametrize("target", ["{folder}/other.mov", "file:{folder}/other.mov", "other.mov"])
def test_a_film_whose_frames_lie_in_another_file_reads_only_itself(draw, tmp_path, target):
    film, other = draw("film.mov", frames=3), draw("other.mov", frames=3, is_color=True, cuts=(0,))
    own = [luma.tobytes() for luma in luma_of(film)]
    data = _with_reference(film.read_bytes(), target.format(folder=tmp_path).encode())
    film.write_bytes(data)
    other.unlink()
    os.mkfifo(other)  # whoever opens it, waits: the test would not end
    assert [frame.luma.tobytes() for frame in read_frames(probe(film))] == own


def _damaged(path: Path, seed: int, places: int) -> Path:
    data = bytearray(path.read_bytes())
    for at in np.random.default_rng(seed).integers(len(data) // 3, len(data) * 2 // 3, places):
        data[at] ^= 0xFF
    path.write_bytes(data)
    return path


def test_damage_is_said_where_it_is_first_seen_and_counted_at_the_end(draw):
    path = _damaged(draw(frames=50, codec_options={"g": "5"}, width=160, height=120), 1, 40)
    changes = Changes()
    count = sum(1 for _ in read_frames(probe(path), changes=changes))
    assert "is damaged at 0." in changes.sentences[0]
    assert f"{count} of 50 frames could be decoded" in changes.sentences[1]


def test_damage_ends_a_strict_reading_where_it_is_first_seen(draw):
    path = _damaged(draw(frames=50, codec_options={"g": "5"}, width=160, height=120), 1, 40)
    frames, seconds = read_frames(probe(path), changes=Changes(strict=True)), 0.0
    with pytest.raises(InputError, match="is damaged at"):  # noqa: PT012
        for frame in frames:
            seconds = float(frame.seconds)
    assert 0 < seconds < 1.5


def test_the_frames_of_a_damaged_film_keep_their_times(draw):
    path = draw(frames=50, codec_options={"g": "5"}, width=160, height=120)
    times = times_of(path)
    found = [frame.seconds for frame in read_frames(probe(_damaged(path, 2, 30)))]
    assert set(found) <= set(times)
    assert found == sorted(set(found))


@pytest.mark.parametrize("audio", [0, 1])
def test_a_hole_in_matroska_is_damage(draw, audio):
    # FFmpeg skips it without an error: half the film can be gone without a word.
    path = draw("a.mkv", frames=75, codec_options={"g": "5"}, width=160, height=120, audio=audio)
    whole = len(list(read_frames(probe(path))))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = bytes(4096)
    path.write_bytes(data)
    changes = Changes()
    assert len(list(read_frames(probe(path), changes=changes))) < whole
    assert any("is damaged at" in said for said in changes.sentences)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.ts", "a.nut"])
def test_a_whole_film_is_not_taken_for_a_damaged_one(draw, name):
    rate = {"codec": "mpeg4", "is_lossless": False} if name == "a.avi" else {}
    path = draw(name, frames=60, audio=1, codec_options={"g": "5"}, **rate)
    changes = Changes(strict=True)
    assert len(list(read_frames(probe(path), changes=changes))) == 60
    assert not changes.sentences


def test_a_pause_between_pictures_in_matroska_is_no_damage(draw):
    times = tuple(Fraction(n, 25) + (n >= 30) * 2 + (n >= 40) for n in range(60))
    path = draw("a.mkv", times=times, audio=1)
    assert len(list(read_frames(probe(path), changes=Changes(strict=True)))) == 60


def test_a_rate_for_a_film_with_times_is_refused(draw):
    with pytest.raises(OptionsError, match="has its own timestamps"):
        probe(draw(frames=1), rate=Fraction(25))
