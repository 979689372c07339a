"""Nothing of a film is dropped in silence: it is kept, converted with a word, or named."""

import re
from fractions import Fraction
from typing import Any

import av
import pytest
from av.stream import Disposition

from tests.clips import audio_packets_of, times_of
from tests.render_media import render, render_with_account
from tests.sounds import film_with_sound, noise, sound_of
from vidcolor.errors import OutputError
from vidcolor.media import stream_copy
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.output_plan import check_output
from vidcolor.media.probe import probe
from vidcolor.media.stream_copy import TrackCopier
from vidcolor.options.render import RenderOptions

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000" + "3a7e9b55"
    "0000000a49444154789c6360000000020001e221bc33" + "0000000049454e44ae426082"
)


def packets_of(path, index):
    with av.open(str(path)) as container:
        stream = container.streams[index]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def texts_of(path, index=0):
    """Return (start, duration, text) of each subtitle, seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[index]
        found = []
        for packet in container.demux(stream):
            for subtitle in packet.decode() if packet.size > 2 else ():
                text = re.sub(r"{.*?}", "", subtitle.ass.decode().rpartition(",,")[2])
                times = [float((t or 0) * packet.time_base) for t in (packet.pts, packet.duration)]
                found.append((*times, text))
    return found


def with_texts(path, to, texts, codec="srt"):
    """Copy a film and add a track of (start, duration, text), seconds."""
    with av.open(str(path)) as source, av.open(str(to), "w") as output:
        added = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        for stream in source.streams:
            added[stream.index].metadata.update(stream.metadata)
        track: Any = output.add_stream(codec)
        track.time_base = Fraction(1, 1000)
        track.metadata["language"] = "deu"
        track.codec_context.subtitle_header = b"[Script Info]"
        output.start_encoding()
        for start, duration, text in texts:
            prefix = b"" if codec == "srt" else len(text).to_bytes(2, "big")
            packet: Any = av.Packet(prefix + text.encode())
            packet.pts = packet.dts = round(start * 1000)
            packet.duration, packet.time_base = round(duration * 1000), Fraction(1, 1000)
            packet.stream = track
            output.mux(packet)
        _copy_packets(source, output, added)
    return to


def _copy_packets(source, output, added):
    for copied in source.demux():
        if copied.dts is not None:
            copied.stream = added[copied.stream.index]
            output.mux(copied)


def with_second_picture(path, other, to):
    """Put the pictures of two films into one."""
    with av.open(str(path)) as first, av.open(str(other)) as second, av.open(str(to), "w") as out:
        pictures = [(c, c.streams.video[0]) for c in (first, second)]
        added = [out.add_stream_from_template(stream, opaque=True) for _, stream in pictures]
        added[1].disposition = Disposition(0)
        for (container, stream), target in zip(pictures, added, strict=True):
            for packet in container.demux(stream):
                if packet.dts is not None:
                    packet.stream = target
                    out.mux(packet)
    return to


def times_of_angle(container):
    frames: Any = container.decode(container.streams.video[1])
    return [float((frame.pts or 0) * frame.time_base) for frame in frames]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("result", ["out.mp4", "out.mkv", "out.mov"])
def test_another_angle_goes_over_as_it_is(draw, tmp_path, name, result):
    angle = draw("angle.mp4", frames=60, cuts=(0,), codec_options={"bf": "3", "g": "20"})
    path = with_second_picture(draw("main.mp4", frames=60), angle, tmp_path / name)
    out, accounts = render_with_account(path, result, verify="full")
    assert [entry.how for entry in accounts] == ["colored", "copied"]
    with av.open(str(out)) as container, av.open(str(path)) as source:
        kept, meant = times_of_angle(container), times_of_angle(source)
    shift = meant[0] - kept[0]
    assert [time + shift for time in kept] == pytest.approx(meant, abs=1e-3)
    angle_shift = float(times_of(path)[0] - times_of(out)[0])
    assert float(shift) == pytest.approx(angle_shift, abs=2e-3)


def test_another_angle_of_a_part_starts_with_a_keyframe(draw, tmp_path):
    angle = draw("angle.mp4", frames=75, codec_options={"g": "25", "bf": "2"})
    path = with_second_picture(draw("main.mp4", frames=75), angle, tmp_path / "a.mkv")
    out = render(path, start="0.5", end="2")
    with av.open(str(out)) as container:
        times = times_of_angle(container)
        container.seek(0)
        first = next(p for p in container.demux(container.streams.video[1]) if p.size)
        assert first.is_keyframe
    assert times[0] == pytest.approx(0.5)
    assert times[-1] <= 1.5
    assert len(times) >= 23


def test_data_goes_over_where_the_container_holds_it(draw, tmp_path, caplog):
    path, data = draw("plain.mp4", frames=25), [b"GPS " + bytes([n]) * 20 for n in range(5)]
    film = tmp_path / "a.mp4"
    with av.open(str(path)) as source, av.open(str(film), "w") as output:
        picture = output.add_stream_from_template(source.streams.video[0], opaque=True)
        track = output.add_data_stream("bin_data")
        track.time_base = Fraction(1, 1000)
        for number, content in enumerate(data):
            packet: Any = av.Packet(content)
            packet.pts = packet.dts = number * 200
            packet.duration, packet.time_base, packet.stream = 200, Fraction(1, 1000), track
            output.mux(packet)
        for copied in source.demux(source.streams.video[0]):
            if copied.dts is not None:
                copied.stream = picture
                output.mux(copied)
    out, accounts = render_with_account(film, "out.mp4", verify="full")
    assert packets_of(out, 1) == data
    assert accounts[1].how == "copied"
    _, accounts = render_with_account(film, "out.mkv")
    assert accounts[1].how == "left out"
    assert "stream 1 (data bin_data) is left out" in caplog.text


def with_cover(path, to):
    with av.open(str(path)) as source, av.open(str(to), "w") as output:
        added = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        if to.suffix == ".mkv":
            output.add_attachment("cover.png", "image/png", PNG)
        else:
            cover: Any = output.add_stream("png")
            cover.width = cover.height = 1
            cover.pix_fmt = "gray"
            cover.disposition = Disposition.attached_pic
            packet: Any = av.Packet(PNG)
            packet.pts = packet.dts = 0
            packet.time_base, packet.stream = Fraction(1, 25), cover
            output.mux(packet)
        _copy_packets(source, output, added)
    return to


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("result", ["out.mp4", "out.mkv"])
def test_a_cover_goes_over_byte_by_byte(draw, tmp_path, name, result):
    path = with_cover(draw("plain.mp4", frames=5, audio=1), tmp_path / name)
    out, accounts = render_with_account(path, result, verify="full")
    with av.open(str(out)) as container:
        covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        (index,) = [cover.index for cover in covers]
    assert packets_of(out, index) == [PNG]
    assert [entry.how for entry in accounts] == ["colored", "copied", "attached"]


def test_a_cover_that_cannot_be_kept_is_said(draw, tmp_path, caplog):
    path = with_cover(draw("plain.mp4", frames=5), tmp_path / "a.mp4")
    _, accounts = render_with_account(path, "out.mov")
    assert accounts[1].how == "left out"
    assert "stream 1 (video png) is left out: the container cannot hold such cover" in caplog.text
    assert ".mkv keeps it" in caplog.text or ".mp4 keeps it" in caplog.text


def test_attached_fonts_go_over_and_are_said_where_they_cannot(draw, tmp_path, caplog):
    path, font = tmp_path / "a.mkv", bytes(range(256)) * 9
    with (
        av.open(str(draw("plain.mp4", frames=5))) as source,
        av.open(str(path), "w") as output,
    ):
        picture = output.add_stream_from_template(source.streams.video[0], opaque=True)
        output.add_attachment("Hand.ttf", "font/ttf", font)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                output.mux(packet)
    out = render(path, "out.mkv", verify="full")
    with av.open(str(out)) as container:
        (attached,) = container.streams.attachments
        assert (attached.name, attached.mimetype, attached.data) == ("Hand.ttf", "font/ttf", font)
    assert not caplog.text
    render(path, "out.mp4")
    assert "(attachment Hand.ttf) is left out: the container cannot hold such" in caplog.text


TEXTS = [(0.2, 0.5, "Guten Tag"), (1.0, 0.8, "Wie geht es?")]


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "srt"), ("a.mp4", "mov_text")])
@pytest.mark.parametrize("result", ["out.mkv", "out.mp4", "out.mov"])
def test_subtitles_keep_text_times_and_language(draw, tmp_path, name, codec, result):
    path = with_texts(draw("plain.mp4", frames=50), tmp_path / name, TEXTS, codec)
    out = render(path, result, verify="full")
    assert [text[2] for text in texts_of(out)] == ["Guten Tag", "Wie geht es?"]
    for wanted, found in zip(TEXTS, texts_of(out), strict=True):
        assert found[:2] == pytest.approx(wanted[:2], abs=1e-3)
    with av.open(str(out)) as container:
        assert container.streams.subtitles[0].metadata["language"] in ("deu", "ger")


@pytest.mark.parametrize("result", ["out.mkv", "out.mp4"])
def test_a_subtitle_on_screen_at_the_start_of_a_part_is_shown_for_its_rest(draw, tmp_path, result):
    texts = [(0.1, 0.3, "gone"), (0.4, 1.0, "on screen"), (1.5, 9.0, "runs on"), (1.9, 0.1, "late")]
    path = with_texts(draw("plain.mp4", frames=75), tmp_path / "a.mkv", texts)
    found = texts_of(render(path, result, start="0.8", end="1.8"))
    assert [text for _, _, text in found] == ["on screen", "runs on"]
    assert found[0][:2] == pytest.approx((0, 0.6), abs=1e-3)
    assert found[1][:2] == pytest.approx((0.7, 0.3), abs=1e-3)


def test_bitmap_subtitles_that_the_container_cannot_hold_are_said(draw, tmp_path, caplog):
    segment = b"PG" + bytes(8) + b"\x80\0\0"
    (tmp_path / "a.sup").write_bytes(segment * 3)
    path = tmp_path / "a.mkv"
    with (
        av.open(str(draw("plain.mp4", frames=5))) as source,
        av.open(str(tmp_path / "a.sup"), format="sup") as bitmaps,
        av.open(str(path), "w") as output,
    ):
        picture = output.add_stream_from_template(source.streams.video[0], opaque=True)
        track = output.add_stream_from_template(bitmaps.streams[0], opaque=True)
        for container, added in ((source, picture), (bitmaps, track)):
            for number, packet in enumerate(container.demux(container.streams[0])):
                if packet.size:
                    packet.dts = packet.dts if added is picture else number
                    packet.pts = packet.pts if added is picture else number
                    packet.stream = added
                    output.mux(packet)
    _, accounts = render_with_account(path, "out.mkv", verify="full")
    assert (accounts[1].how, accounts[1].packet_count) == ("copied", 3)
    assert not caplog.text
    _, accounts = render_with_account(path, "out.mp4")
    assert accounts[1].how == "left out"
    assert "(subtitle hdmv_pgs_subtitle) is left out" in caplog.text
    assert ".mkv keeps it" in caplog.text


def test_tags_titles_and_dispositions_that_the_container_cannot_note_are_said(draw, caplog):
    path = draw("plain.mp4", frames=5, audio=2)
    tagged = path.with_name("a.mkv")
    with av.open(str(path)) as source, av.open(str(tagged), "w") as output:
        added = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        output.metadata.update({"title": "M", "CATALOGUE": "17"})
        added[1].metadata.update({"title": "Commentary", "SOURCE": "tape"})
        added[1].disposition = Disposition.default | Disposition.comment
        added[2].disposition = Disposition.original
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = added[packet.stream.index]
                output.mux(packet)
    with av.open(str(render(tagged, "out.mkv"))) as container:
        assert container.metadata["CATALOGUE"] == "17"
        assert container.streams[1].metadata["SOURCE"] == "tape"
        assert container.streams[1].disposition == Disposition.default | Disposition.comment
        assert container.streams[2].disposition == Disposition.original
    assert not caplog.text
    with av.open(str(render(tagged, "out.mov"))) as container:
        assert container.metadata["title"] == "M"
        assert container.streams[1].metadata["handler_name"] == "Commentary"
    for words in ("tags CATALOGUE;", "tags SOURCE of stream 1", "the flags comment of stream 1"):
        assert f"cannot store the film's {words}" in caplog.text or words in caplog.text


def test_what_cannot_be_noted_is_refused_where_nothing_may_change(draw):
    path = draw("a.mkv", frames=5, audio=1, languages=("nah",))
    with pytest.raises(OutputError, match="cannot store the language nah"):
        check_output(probe(path), path.with_name("o.mov"), RenderOptions(), Changes(strict=True))


def test_a_timecode_goes_over_but_not_into_a_part_that_starts_later(draw, tmp_path, caplog):
    path = tmp_path / "a.mov"
    with av.open(str(draw("plain.mp4", frames=50))) as source, av.open(str(path), "w") as output:
        picture = output.add_stream_from_template(source.streams.video[0], opaque=True)
        picture.metadata["timecode"] = "01:02:03:04"
        picture.codec_context.framerate = Fraction(25)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                output.mux(packet)
    for result in ("out.mov", "out.mp4", "out.mkv"):
        with av.open(str(render(path, result))) as container:
            tags = container.streams.video[0].metadata
            assert tags.get("timecode", tags.get("TIMECODE")) == "01:02:03:04"
    assert not caplog.text
    with av.open(str(render(path, "part.mov", start="1"))) as container:
        assert "timecode" not in container.streams.video[0].metadata
        assert not container.streams.data
    assert "has no timecode" in caplog.text


def test_a_timecode_that_the_container_cannot_count_is_said(draw, tmp_path, caplog):
    path = tmp_path / "a.mkv"
    with av.open(str(draw("p.mkv", frames=5))) as source, av.open(str(path), "w") as output:
        picture = output.add_stream_from_template(source.streams.video[0], opaque=True)
        picture.metadata["timecode"] = "at ten"
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                output.mux(packet)
    render(path, "out.mkv")
    assert not caplog.text
    render(path, "out.mp4")
    assert "cannot store the film's timecode" in caplog.text


def test_the_last_packet_of_sound_without_durations_is_kept(tmp_path):
    path = film_with_sound(tmp_path / "a.mkv", "alac", noise(2))
    out = render(path, "out.mp4", verify="full")
    assert audio_packets_of(out) == audio_packets_of(path)
    assert len(sound_of(out)[0]) == len(sound_of(path)[0])


def test_sound_without_times_or_out_of_order_is_put_in_order(draw):
    path = draw("a.mkv", frames=25, audio=1)
    with av.open(str(path)) as source, av.open(str(path.with_name("o.mkv")), "w") as output:
        copied = TrackCopier(source, output, _plan(path).tracks, path, Changes())
        real = source.demux

        class Timeless:
            """The film, as if it had forgotten some times and mixed up others."""

            def __getattr__(self, name):
                return getattr(source, name)

            def demux(self, *streams):
                for number, packet in enumerate(real(*streams)):
                    if number % 3 == 1:
                        packet.pts = packet.dts = None
                    elif number % 7 == 3:
                        packet.pts = packet.dts = packet.dts - 60
                    yield packet

        copied._source = Timeless()  # type: ignore[assignment]
        packets = [p for p in copied.packets(offset=Fraction(0), end=None) if p.size]
    assert len(packets) == len(audio_packets_of(path)[0])
    times = [packet.pts or 0 for packet in packets]
    assert times == sorted(set(times))


def _plan(path, name="out.mkv"):
    return check_output(probe(path), path.with_name(name), RenderOptions(), Changes())


def test_damage_that_never_ends_is_given_up_and_said(draw):
    path = draw("a.mkv", frames=25, audio=1)
    changes = Changes()
    with av.open(str(path)) as source, av.open(str(path.with_name("o.mkv")), "w") as output:
        copied = TrackCopier(source, output, _plan(path).tracks, path, changes)

        class Broken:
            """A film that cannot be read on."""

            name = str(path)
            streams = source.streams

            def demux(self, *streams):
                raise av.InvalidDataError(1, "broken")

        copied._source = Broken()  # type: ignore[assignment]
        assert not list(copied.packets(offset=Fraction(0), end=None))
        output.start_encoding()
    assert f"damaged in {stream_copy.BROKEN_READS} places" in changes.sentences[0]


def test_each_stream_of_the_film_is_accounted_for(draw, tmp_path):
    path = with_texts(
        draw("plain.mkv", frames=50, audio=2, title="M"), tmp_path / "a.mkv", TEXTS, "srt"
    )
    _, accounts = render_with_account(path, "out.mp4")
    found = [
        (a.index, a.kind, a.codec, a.language, a.how, a.result_codec, a.packet_count)
        for a in accounts
    ]
    count = len(audio_packets_of(path)[0])
    assert found == [
        (0, "video", "h264", None, "colored", "libx264", 50),
        (1, "audio", "aac", "eng", "copied", "aac", count),
        (2, "audio", "aac", "fra", "copied", "aac", count),
        (3, "subtitle", "subrip", "deu", "converted", "mov_text", 2),
    ]
    assert accounts[3].why == "mov_text, the container's text format"
