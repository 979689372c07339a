"""The window: three neighbours that never leave their shot."""

from hypothesis import given
from hypothesis import strategies as st

from vidcolor.shots.windows import surroundings, windows

shots_strategy = st.lists(st.integers(1, 6), min_size=0, max_size=8)


def _film(shot_lengths: list[int]) -> list[tuple[int, int]]:
    """Return (shot, place in shot) of every frame."""
    return [(shot, place) for shot, length in enumerate(shot_lengths) for place in range(length)]


def _windows(film: list[tuple[int, int]]):
    return list(windows(film, lambda frame: frame[0] > 0 and frame[1] == 0))


@given(shots_strategy)
def test_every_frame_is_the_middle_of_one_window_in_order(shot_lengths):
    film = _film(shot_lengths)
    assert [current for _, current, _ in _windows(film)] == film


@given(shots_strategy)
def test_no_window_crosses_a_cut(shot_lengths):
    for window in _windows(_film(shot_lengths)):
        assert len({shot for shot, _ in window}) == 1


@given(shots_strategy)
def test_neighbours_are_adjacent_or_the_frame_itself_at_a_shots_ends(shot_lengths):
    for (_, before), (shot, place), (_, after) in _windows(_film(shot_lengths)):
        assert before == max(place - 1, 0)
        assert after == min(place + 1, shot_lengths[shot] - 1)


@given(shots_strategy)
def test_a_film_of_shots_is_windowed_as_its_shots_are(shot_lengths):
    film = _film(shot_lengths)
    apart = [
        window
        for shot in range(len(shot_lengths))
        for window in windows([f for f in film if f[0] == shot], lambda _: False)
    ]
    assert _windows(film) == apart


def test_a_film_is_drawn_one_frame_ahead_and_no_more():
    drawn = []

    def frames():
        for i in range(10):
            drawn.append(i)
            yield i

    for _, current, _ in windows(frames(), lambda _: False):
        assert len(drawn) <= current + 2


@given(st.lists(st.integers(), max_size=12), st.integers(0, 4))
def test_surroundings_are_all_items_within_reach(items, reach):
    seen = list(surroundings(items, reach))
    assert [around[at] for around, at in seen] == items
    for number, (around, at) in enumerate(seen):
        assert list(around) == items[max(0, number - reach) : number + reach + 1]
        assert at == min(number, reach)
