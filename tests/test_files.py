"""Files that survive a crash: whole or as they were; what a crash cut short is dropped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vidcolor.errors import InputError
from vidcolor.files import atomic_folder, atomic_write, read_json_lines, read_toml


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("options", [{}, {"sync": False}, {"is_shared": True}])
def test_a_file_gets_its_name_when_it_is_whole(tmp_path, options):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path, **options) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("old", [None, "old"])
def test_an_error_leaves_the_old_file_and_no_draft(tmp_path, old):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)

    def write_half():
        with atomic_write(path) as draft:
            draft.write_text("ne")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_half()
    assert names_in(tmp_path) == ([] if old is None else ["a.txt"])
    assert old is None or path.read_text() == old


def test_a_process_killed_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from vidcolor.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as draft:\n"
        "    draft.write_text('ne')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    with atomic_write(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["a.txt"]


def test_two_writers_of_one_file_have_drafts_of_their_own(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path, is_shared=True) as first, atomic_write(path, is_shared=True) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_link_keeps_pointing_to_what_is_written(tmp_path):
    path, link = tmp_path / "a.txt", tmp_path / "link"
    path.write_text("old")
    link.symlink_to(path)
    with atomic_write(link) as draft:
        draft.write_text("new")
    assert link.is_symlink()
    assert path.read_text() == "new"


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as reader:
        with atomic_write(Path(f"/dev/fd/{write_end}")) as draft:
            draft.write_text("through")
        os.close(write_end)
        assert reader.read() == "through"


def test_a_folder_gets_its_name_when_all_of_it_is_there(tmp_path):
    folder = tmp_path / "model"
    (tmp_path / "model.part").mkdir()
    (tmp_path / "model.part" / "half").write_text("of a process that was killed")
    with atomic_folder(folder) as draft:
        (draft / "card").write_text("card")
        assert not folder.exists()
    assert names_in(tmp_path) == ["model"]
    assert names_in(folder) == ["card"]


def test_an_error_leaves_no_draft_of_a_folder(tmp_path):
    def write_half():
        with atomic_folder(tmp_path / "model") as draft:
            (draft / "card").write_text("card")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_half()
    assert names_in(tmp_path) == []


def test_lines_are_read_up_to_one_that_a_crash_cut_short(tmp_path):
    path = tmp_path / "log.jsonl"
    whole = b'{"step": 1}\n[2, true]\n"three"\n'
    values = [{"step": 1}, [2, True], "three"]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert read_json_lines(path) == values[: whole[:length].count(b"\n")]


def test_a_line_that_is_not_json_keeps_its_place(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st\n\n\xff\n{"step": 2}\n')
    assert read_json_lines(path) == [{"step": 1}, None, None, None, {"step": 2}]


def test_a_missing_file_has_no_lines(tmp_path):
    assert read_json_lines(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = 1\n[b\n", r"is not valid TOML \(line 2, column 3\): .*; correct that line"),
        (b"a = '", r"is not valid TOML \(.*\): .*; correct that line"),
        (b"a = " + b"1" * 5000, r"is not valid TOML: .*; correct that value"),
        (b"a = '\xff'", "it is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_the_place_of_a_fault_in_toml_is_named(tmp_path, content, reason):
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"recipe .*recipe.toml: .*{reason}"):
        read_toml(path, what="recipe", if_missing="check its name")


def test_a_missing_toml_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: No such file.*; check its name"):
        read_toml(tmp_path / "none.toml", what="recipe", if_missing="check its name")
