"""Chosen frames bring their neighbours along, and the frames from which a shot is embedded."""

from hypothesis import given
from hypothesis import strategies as st

from vidcolor.shots.segments import PlacedFrame, with_context

films = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def _placed(film):
    places, segment = [], -1
    for number, (starts_shot, starts_segment) in enumerate(film):
        segment += starts_segment or number == 0
        places.append(PlacedFrame(number, starts_shot or number == 0, segment))
    return places


@given(films, st.data(), st.integers(0, 5))
def test_wanted_frames_their_neighbours_and_first_frames_are_seen_and_no_others(film, data, reach):
    places = _placed(film)
    chosen = data.draw(st.sets(st.integers(0, len(film) - 1), min_size=1))
    seen = list(with_context(places, lambda place: place.frame in chosen, reach))
    near = {n for c in chosen for n in range(c - reach, c + reach + 1)}
    before = [-1, *(place.segment for place in places)]
    first = {p.frame for p in places if p.starts_shot or p.segment != before[p.frame]}
    end = max(chosen)  # behind it nothing else matters
    assert [p for p in seen if p.frame <= end or p.frame in near] == [
        p for p in places if p.frame in near or (p.frame in first and p.frame <= end)
    ]


def test_no_more_frames_are_held_than_a_frame_depends_on():
    drawn = []

    def frames():
        for number in range(50):
            drawn.append(number)
            yield PlacedFrame(number, True, 0)

    for place in with_context(frames(), lambda place: place.frame == 40, 3):
        assert drawn[-1] - place.frame <= 3
