"""Stages in threads give what one thread would have given, and end when they are told to."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcolor.pipeline.threads import ThreadedStages


@given(
    items=st.lists(st.integers(), max_size=30),
    count=st.integers(1, 6),
    threads=st.integers(1, 4),
)
def test_items_come_in_their_order_whatever_threads_and_queues(items, count, threads):
    with ThreadedStages(threads) as stages:
        drawn = stages.ahead(items, "draw", count)
        assert list(stages.each(lambda n: n * n, drawn, "square")) == [n * n for n in items]
        assert stages.times["draw"].count == stages.times["square"].count == len(items)


def test_stages_work_at_the_same_time():
    meeting = threading.Barrier(
        3, timeout=30
    )  # broken, and so the test, unless all three are there

    def passing_on(items):
        for item in items:
            yield item
            meeting.wait()

    with ThreadedStages() as stages:
        first = stages.ahead(passing_on([1]), "first")
        second = stages.ahead(passing_on(first), "second")
        assert list(passing_on(second)) == [1]


def test_frames_of_one_stage_are_worked_on_at_the_same_time():
    meeting = threading.Barrier(2, timeout=30)
    with ThreadedStages(threads=2) as stages:
        waited = stages.each(lambda _: meeting.wait() is not None, range(4), "meet")
        assert list(waited) == [True] * 4


def test_a_stage_is_ahead_by_no_more_than_it_may():
    drawn = []

    def numbers():
        for number in range(100):
            drawn.append(number)
            yield number

    with ThreadedStages() as stages:
        ahead = stages.ahead(numbers(), "count", 3)
        assert next(ahead) == 0
        _wait_until(lambda: len(drawn) >= 5)
        time.sleep(0.05)
        assert len(drawn) == 5  # one is out, three wait, one is in the thread's hands
        ahead.close()


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_error_comes_after_what_was_made_before_it(error):
    def broken():
        yield 1
        yield 2
        raise error

    with ThreadedStages() as stages:
        numbers = stages.each(lambda n: n, stages.ahead(broken(), "break"), "copy")
        assert next(numbers) == 1
        assert next(numbers) == 2
        with pytest.raises(type(error)) as raised:
            next(numbers)
    assert raised.value is error


def test_an_error_of_one_of_several_threads_is_raised():
    with ThreadedStages(threads=3) as stages, pytest.raises(ZeroDivisionError):
        list(stages.each(lambda n: 1 // n, [1, 1, 0, 1], "divide"))


def test_closing_the_last_stage_ends_all_of_them():
    closed = []

    def endless(name, items=None):
        try:
            while True:
                yield name if items is None else next(items)
        finally:
            time.sleep(0.1)
            closed.append((name, threading.current_thread().name))

    before = threading.active_count()
    with ThreadedStages() as stages:
        first = stages.ahead(endless("first"), "first")
        second = stages.ahead(endless("second", first), "second")
        assert next(second) == "first"
        del first
        second.close()
        assert sorted(closed) == [("first", "vidcolor-first"), ("second", "vidcolor-second")]
    assert threading.active_count() == before


def test_all_stages_of_a_line_end_though_somebody_holds_on_to_it():
    def slow():
        while True:  # whoever draws from it waits for it
            time.sleep(0.01)
            yield 1

    def looked_at(stages, items):  # as the network draws from a stage that begins with it
        yield from stages.each(lambda item: item, items, "look")

    before = threading.active_count()
    with ThreadedStages() as stages:
        decoded = stages.ahead(slow(), "decode")
        colored = stages.ahead(looked_at(stages, stages.ahead(decoded, "shots")), "network")
        steadied = stages.ahead(iter(colored), "stabilise")
        assert next(steadied) == 1
    assert threading.active_count() == before
    assert list(steadied) == []


@pytest.mark.timeout(60)
def test_a_stage_ends_where_what_it_draws_from_fails_as_it_is_closed():
    def failing():
        try:
            while True:
                yield 1
        finally:
            raise ValueError("cannot be closed")

    with ThreadedStages() as stages:
        numbers = stages.ahead(failing(), "fail", 1)
        assert next(numbers) == 1
        _wait_until(lambda: stages.times["fail"].count == 3)  # one is out, one waits, one at hand
        numbers.close()


def test_waiting_is_not_counted_as_work():
    def slow():
        for number in range(3):
            time.sleep(0.4)
            yield number

    def quick(items):
        for item in items:
            time.sleep(0.01)
            yield item

    with ThreadedStages() as stages:
        quickened = stages.ahead(quick(stages.ahead(slow(), "slow")), "quick")
        for _ in stages.each(lambda _: time.sleep(0.04), quickened, "each"):
            with stages.clock("last"):
                time.sleep(0.02)
    assert stages.times["slow"].seconds >= 1.2  # for which all others wait
    assert 0.03 <= stages.times["quick"].seconds < 0.6
    assert 0.12 <= stages.times["each"].seconds < 0.6
    assert 0.06 <= stages.times["last"].seconds < 0.6


def _wait_until(is_so):
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_laps_add_up_to_what_each_stage_worked():
    laps = []
    with ThreadedStages() as stages:
        for _ in stages.each(lambda _: time.sleep(0.001), stages.ahead(range(6), "draw"), "sleep"):
            with stages.clock("show"):
                laps.append(stages.lap())
    laps.append(stages.lap())
    assert set(stages.times) == {"draw", "sleep", "show"}
    for name, worked in stages.times.items():
        assert sum(lap.get(name, 0) for lap in laps) == pytest.approx(worked.seconds)
    assert all(seconds >= 0 for lap in laps for seconds in lap.values())
    assert not any(stages.lap().values())
