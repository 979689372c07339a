"""Every film that is named is found once, and each has a result of its own."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcolor.batch.inputs import FILM_SUFFIXES, find_tasks
from vidcolor.errors import InputError, OptionsError

names = st.from_regex(r"[a-c]{1,2}", fullmatch=True)
paths = st.builds(
    lambda folders, name, suffix: "/".join([*folders, name + suffix]),
    st.lists(names, max_size=2),
    names,
    st.sampled_from([".mp4", ".MKV", ".avi", ".mov", ".webm", ".txt", ".png"]),
)


def _make(folder: Path, *names: str) -> list[Path]:
    made = [folder / name for name in names]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return made


def _results(*sources: Path, codec="libx264") -> dict[str, str]:
    out = Path("/results")
    return {
        str(task.film): str(task.out.relative_to(out)) for task in find_tasks(sources, out, codec)
    }


@given(st.sets(paths, max_size=8))
def test_each_film_of_a_folder_has_a_result_of_its_own_in_the_same_folder(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("in")
    _make(folder, *names)
    films = {name for name in names if Path(name).suffix.lower() in FILM_SUFFIXES}
    if not films:
        return
    try:
        results = _results(folder)
    except OptionsError:  # a.mkv and a.MKV
        assert len({name.lower() for name in films}) < len(films)
        return
    assert set(results) == {str(folder / name) for name in films}
    assert len(set(results.values())) == len(films)
    for film, result in results.items():
        relative = Path(film).relative_to(folder)
        assert Path(result).parent == relative.parent
        assert Path(result).name.startswith(relative.stem)
        assert Path(result).suffix in (".mp4", ".mkv", ".mov")


def test_the_films_container_is_kept_where_it_can_be_written(tmp_path):
    folder = tmp_path / "in"
    _make(folder, "a.mov", "b.m4v", "c.webm", "sub/d.MKV")
    assert list(_results(folder).values()) == ["a.mov", "b.m4v", "c.mp4", "sub/d.mkv"]
    ffv1 = list(_results(folder, codec="ffv1").values())
    assert ffv1 == ["a.mkv", "b.mkv", "c.mkv", "sub/d.mkv"]
    prores = list(_results(folder, codec="prores_ks").values())
    assert prores == ["a.mov", "b.mkv", "c.mkv", "sub/d.mkv"]


def test_films_that_would_have_one_name_are_told_apart_by_their_containers(tmp_path):
    _make(tmp_path, "a.avi", "a.mp4", "a.webm", "b.avi")
    assert list(_results(tmp_path).values()) == ["a.avi.mp4", "a.mp4", "a.webm.mp4", "b.mp4"]


def test_films_that_cannot_be_told_apart_are_refused(tmp_path):
    _make(tmp_path, "one/a.mp4", "two/a.mp4")
    with pytest.raises(
        OptionsError, match=r"one/a\.mp4 and .*two/a\.mp4: would have the same output"
    ):
        _results(tmp_path / "one", tmp_path / "two")


def test_hidden_files_and_earlier_results_are_no_films(tmp_path):
    _make(tmp_path, "a.mp4", ".b.mp4", ".a.mp4.vidcolor/00000.mov", "out/a.mp4", "output.mp4")
    tasks = find_tasks([tmp_path], tmp_path / "out", "libx264")
    assert [task.film.name for task in tasks] == ["a.mp4", "output.mp4"]


def test_a_pattern_keeps_the_folders_below_its_first_sign(tmp_path):
    _make(tmp_path, "x/one/a.mp4", "x/two/b.mkv", "x/two/c.avi", "y/d.mkv")
    assert list(_results(tmp_path / "x" / "*" / "*.m*").values()) == ["one/a.mp4", "two/b.mkv"]
    assert list(_results(tmp_path / "**" / "*.mkv").values()) == ["x/two/b.mkv", "y/d.mkv"]


def test_a_list_names_a_film_a_line(tmp_path):
    _make(tmp_path, "x/a.mp4", "b.strange")
    films = tmp_path / "films.txt"
    films.write_text(f"# reels\nx/a.mp4\n\n{tmp_path / 'b.strange'}\n")
    assert _results(films) == {
        str(tmp_path / "x/a.mp4"): "a.mp4",
        str(tmp_path / "b.strange"): "b.mp4",
    }


def test_a_film_named_twice_is_rendered_once(tmp_path):
    (film,) = _make(tmp_path, "a.mp4")
    assert list(_results(film, tmp_path, tmp_path / "*.mp4").values()) == ["a.mp4"]


@pytest.mark.parametrize("name", ["none.mp4", "none/*.mp4", "empty", "empty.txt"])
def test_a_source_without_films_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / name}: contains no films")):
        _results(tmp_path / name)
