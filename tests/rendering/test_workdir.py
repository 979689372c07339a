"""The work folder and the journal: nothing done is lost, nothing half done is believed."""

import os
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcolor.errors import OutputError
from vidcolor.files import digest, lock
from vidcolor.pipeline.journal import (
    Fingerprint,
    Published,
    Record,
    Segment,
    append_entry,
    read_journal,
    write_journal,
)
from vidcolor.rendering import workdir as work_module
from vidcolor.rendering.workdir import folder_of, work_on

WORK: Fingerprint = {"--crf": 18, "film": "a" * 64, "vidcolor": "1"}

segments = st.builds(
    Segment,
    number=st.integers(0, 10**5),
    name=st.from_regex(r"[0-9]{5}\.nut", fullmatch=True),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    frame_count=st.integers(1, 240),
    shot_count=st.integers(0, 240),
    first_pts=st.integers(-(2**63), 2**63 - 1),
    first_luma=st.integers(0, 2**32 - 1),
    last_pts=st.integers(-(2**63), 2**63 - 1),
    changes=st.lists(st.text(max_size=20), max_size=2).map(tuple),
)


def finish(work, number, content=b"frames"):
    """Do what a segment takes: a whole file first, then its line."""
    path = work.folder / f"{number:05}.nut"
    path.write_bytes(content)
    segment = Segment(
        number=number,
        name=path.name,
        sha256=digest(path),
        frame_count=30,
        shot_count=1,
        first_pts=30 * number,
        first_luma=7,
        last_pts=30 * number + 29,
        changes=(),
    )
    work.append_entry(segment)
    return segment


def interrupted(out, work_done=2, fingerprint=WORK):
    """Leave what a killed run leaves."""
    with pytest.raises(KeyboardInterrupt), work_on(out, fingerprint) as work:  # noqa: PT012
        work.resume(restart=False, is_expendable=False)
        done = [finish(work, number) for number in range(work_done)]
        (work.folder / "00009.nut.part").write_bytes(b"half")
        raise KeyboardInterrupt
    return done


def resume(out, fingerprint=WORK, *, restart=False, is_expendable=False):
    with work_on(out, fingerprint) as work:
        work.resume(restart=restart, is_expendable=is_expendable)
        return work.segments, sorted(path.name for path in work.folder.iterdir())


@given(st.lists(segments, max_size=4), st.data())
def test_a_journal_that_was_cut_anywhere_tells_the_beginning(tmp_path_factory, done, data):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write_journal(path, Record(WORK))
    lengths = []
    for segment in done:
        append_entry(path, segment)
        lengths.append(path.stat().st_size)
    cut = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, cut)
    record = read_journal(path)
    if record is None:
        assert cut < len(path.read_bytes()) + 1
        assert not any(length <= cut for length in lengths)
    else:
        assert record.fingerprint == WORK
        assert list(record.segments) == done[: sum(length <= cut for length in lengths)]


def test_a_line_without_its_end_is_not_believed(tmp_path):
    path = tmp_path / "journal.jsonl"
    write_journal(path, Record(WORK))
    append_entry(path, segments_example())
    os.truncate(path, path.stat().st_size - 1)
    assert read_journal(path) == Record(WORK)


@given(st.lists(segments, max_size=4))
def test_a_journal_written_as_a_whole_is_read_back(tmp_path_factory, done):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write_journal(path, Record(WORK, tuple(done)))
    append_entry(path, Published(inode=5, byte_count=6))
    assert read_journal(path) == Record(WORK, tuple(done), Published(inode=5, byte_count=6))


@given(st.binary(max_size=200))
def test_a_journal_of_rubbish_is_no_journal(tmp_path_factory, rubbish):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    path.write_bytes(rubbish)
    assert read_journal(path) is None


def test_the_folder_is_removed_at_the_end(tmp_path):
    with work_on(tmp_path / "out.mkv", WORK) as work:
        work.resume(restart=False, is_expendable=False)
        finish(work, 0)
    assert not list(tmp_path.iterdir())


def test_what_is_done_survives_an_interruption_and_nothing_else_does(tmp_path, caplog):
    out = tmp_path / "out.mkv"
    done = interrupted(out)
    assert "60 frames are done" in caplog.text
    assert resume(out) == (done, ["00000.nut", "00001.nut", "journal.jsonl", "lock"])


def test_an_interruption_before_anything_is_done_leaves_nothing(tmp_path):
    interrupted(tmp_path / "out.mkv", work_done=0)
    assert not list(tmp_path.iterdir())


def test_an_interruption_while_the_folder_is_made_leaves_nothing(tmp_path, monkeypatch):
    def stopped(file, **words):
        monkeypatch.setattr(work_module, "lock", lock)
        raise KeyboardInterrupt

    monkeypatch.setattr(work_module, "lock", stopped)
    with pytest.raises(KeyboardInterrupt), work_on(tmp_path / "out.mp4", WORK):
        pass
    assert not list(tmp_path.iterdir())


class Interrupting(list[Segment]):
    """A list that is interrupted as something is put into it."""

    def insert(self, _place, _item):
        raise KeyboardInterrupt


def test_a_segment_noted_as_the_interruption_comes_is_kept(tmp_path, caplog):
    out = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt), work_on(out, WORK) as work:  # noqa: PT012
        work.resume(restart=False, is_expendable=False)
        done = finish(work, 0)
        work.segments = Interrupting(work.segments)
        finish(work, 1)
    assert "60 frames are done" in caplog.text
    assert [segment.name for segment in resume(out)[0]] == [done.name, "00001.nut"]


def test_a_segment_that_rotted_is_made_again_and_no_other(tmp_path, caplog):
    out = tmp_path / "out.mkv"
    done = interrupted(out, work_done=3)
    (folder_of(out) / "00001.nut").write_bytes(b"framez")
    found, files = resume(out)
    assert found == [done[0], done[2]]
    assert files == ["00000.nut", "00002.nut", "journal.jsonl", "lock"]
    assert "segment 2 is damaged" in caplog.text


def test_other_work_is_refused_and_stays(tmp_path):
    out = tmp_path / "out.mkv"
    done = interrupted(out)
    with pytest.raises(OutputError, match=r"used --crf 18, not 20 and another film; .*--restart"):
        resume(out, {**WORK, "film": "b" * 64, "--crf": 20})
    assert resume(out)[0] == done


@pytest.mark.parametrize("how", [{"restart": True}, {"is_expendable": True}])
def test_other_work_is_thrown_away_if_that_is_asked(tmp_path, how):
    out = tmp_path / "out.mkv"
    interrupted(out)
    found, files = resume(out, {**WORK, "--crf": 20}, **how)
    assert (found, files) == ([], ["journal.jsonl", "lock"])


def test_the_same_work_goes_on_where_a_file_is_to_be_replaced(tmp_path):
    out = tmp_path / "out.mkv"
    done = interrupted(out)
    assert resume(out, is_expendable=True)[0] == done


def test_a_run_that_was_killed_after_its_last_step_is_known_to_be_done(tmp_path):
    out = tmp_path / "out.mkv"
    with pytest.raises(KeyboardInterrupt), work_on(out, WORK) as work:  # noqa: PT012
        work.resume(restart=False, is_expendable=False)
        finish(work, 0)
        assert not work.is_published()
        whole = work.folder / "film.mkv"
        whole.write_bytes(b"film")
        work.record_publish(whole)
        whole.replace(out)
        raise KeyboardInterrupt
    assert out.read_bytes() == b"film"
    with work_on(out, {**WORK, "--crf": 20}) as work:
        assert not work.is_published()
        with pytest.raises(OutputError, match="--crf 18"):
            work.resume(restart=False, is_expendable=False)
        with work_on(tmp_path / "other.mkv", WORK) as other:
            assert not other.is_published()


def test_a_published_result_is_told_from_a_file_of_its_name(tmp_path):
    out = tmp_path / "out.mkv"
    out.write_bytes(b"film")
    write_to = folder_of(out)
    write_to.mkdir()
    write_journal(write_to / "journal.jsonl", Record(WORK))
    published = Published.of(out)
    for found, expected in (
        (published, True),
        (replace(published, inode=published.inode + 1), False),
        (replace(published, byte_count=5), False),
    ):
        write_journal(write_to / "journal.jsonl", Record(WORK))
        append_entry(write_to / "journal.jsonl", found)
        with pytest.raises(KeyboardInterrupt), work_on(out, WORK) as work:  # noqa: PT012
            assert work.is_published() == expected
            write_journal(write_to / "journal.jsonl", Record(WORK, (segments_example(),)))
            raise KeyboardInterrupt


def segments_example():
    return Segment(
        number=0, name="00000.nut", sha256="", frame_count=1, shot_count=1, first_pts=0,
        first_luma=0, last_pts=0, changes=(),
    )  # fmt: skip


def test_two_renders_of_one_file_do_not_meet(tmp_path):
    out = tmp_path / "out.mp4"
    with work_on(out, WORK), pytest.raises(OutputError, match="another run"), work_on(out, WORK):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_goes_away_while_waiting_is_made_again(tmp_path, monkeypatch):
    out = tmp_path / "out.mp4"
    calls = []

    def lock_too_late(file, *, if_held):
        calls.append(file)
        if len(calls) == 1:  # the last holder tidies up between our opening and our locking
            shutil.rmtree(folder_of(out))

    monkeypatch.setattr(work_module, "lock", lock_too_late)
    with work_on(out, WORK) as work:
        assert (work.folder / "lock").exists()
    assert len(calls) == 2


def test_a_lock_file_without_a_process_holds_nobody_up(tmp_path):
    out = tmp_path / "out.mp4"
    folder_of(out).mkdir()
    (folder_of(out) / "lock").touch()
    with work_on(out, WORK) as work:
        assert work.segments == []


def test_long_names_get_a_work_folder_that_fits(tmp_path):
    with work_on(tmp_path / ("x" * 250 + ".mp4"), WORK) as work:
        assert len(os.fsencode(work.folder.name)) <= 255
