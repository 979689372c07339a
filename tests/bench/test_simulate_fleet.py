"""The simulation of a fleet, compared with hand calculations, and docs/how-to/scale.md's table."""

import json
import math
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulate_fleet import (
    BENCH,
    REST,
    Clock,
    Costs,
    Fleet,
    Process,
    Resource,
    drivers_wanted,
    films_of,
    simulate,
    simulate_fleets,
    table,
)

ROOT = Path(__file__).parents[2]
FOREVER = 1e12
COSTS = replace(Costs.read(BENCH, REST), worker_hours=FOREVER)


def fleet(workers: int, costs: Costs = COSTS, **changes: bool) -> Fleet:
    how = {"has_gpus": True, "shares_folder": True} | changes
    return Fleet(costs, workers, drivers=1, seed=0, **how)


@given(
    count=st.integers(1, 4),
    tasks=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=20),
)
def test_a_resource_serves_so_many_at_once_in_the_order_of_coming(count, tasks):
    clock, resource = Clock(), Resource(count)
    at_once, begun = [0], []

    def task(number: int, length: int) -> Process:
        yield resource
        begun.append(number)
        at_once.append(at_once[-1] + 1)
        yield length
        at_once.append(at_once[-1] - 1)
        resource.give_back(clock, length)

    tasks.sort()
    for number, (start, length) in enumerate(tasks):
        clock.after(start, task(number, length))
    end = clock.run()
    assert begun == list(range(len(tasks)))
    assert max(at_once) <= count
    assert resource.free == count
    assert resource.busy_seconds == sum(length for _, length in tasks)
    latest = max((start + length for start, length in tasks), default=0)
    assert latest <= end <= latest + resource.busy_seconds


@given(hours=st.floats(0.1, 200), seed=st.integers(0, 99))
def test_films_have_the_hours_that_are_asked_for(hours, seed):
    films = films_of(hours, COSTS, random.Random(seed))
    assert sum(films) == round(hours * 60)
    assert films == sorted(films, reverse=True)
    assert all(minutes >= 1 for minutes in films)


def test_a_worker_pays_for_what_it_decodes_and_sees_beside_its_segments():
    costs = replace(
        COSTS,
        stages={"decode": 1.0, "shots": 10.0, "encode features": 100.0, "video encode": 1000.0},
        rate=1 / 60,  # a minute is one frame
        segment_frames=100,
        context_frames=20,
        seek_frames=30,
    )
    assert costs.plan_seconds() == pytest.approx(11)
    assert costs.worker_cpu_seconds(has_gpu=True) == pytest.approx(1.5 + 1000)
    assert costs.worker_cpu_seconds(has_gpu=False) == pytest.approx(1.5 + 120 + 1000)
    assert costs.gpu_seconds() == pytest.approx(1.2 * costs.network_gpu)


def test_a_worker_is_as_slow_as_the_slower_of_its_cores_and_its_gpu():
    slow = replace(COSTS, network_gpu=1.0)
    assert slow.render_seconds(has_gpu=True) == slow.gpu_seconds()
    cores = COSTS.worker_cpu_seconds(has_gpu=True) / (16 * COSTS.busy_share)
    assert COSTS.render_seconds(has_gpu=True) == pytest.approx(cores)


def test_every_stage_that_was_measured_is_paid_for():
    for stage in json.loads(BENCH.read_text())["stages"]:
        more = replace(COSTS, stages=COSTS.stages | {stage: COSTS.stages[stage] + 1})
        paid = more.plan_seconds() + more.worker_cpu_seconds(has_gpu=False)
        assert paid > COSTS.plan_seconds() + COSTS.worker_cpu_seconds(has_gpu=False)


def test_one_film_on_one_worker_takes_what_can_be_reckoned():
    costs = replace(COSTS, stages=COSTS.stages | {"shots": 0.0, "decode": 0.001})  # never waits
    read = costs.read_mbit()
    minute = (
        (read + costs.other_mbit()) / costs.store_mbit
        + read / costs.machine_mbit
        + costs.render_seconds(has_gpu=True)
    )
    expected = costs.plan_seconds() + 7 * (minute + costs.join_seconds())
    assert fleet(1, costs).run([7]) == pytest.approx(expected)


def test_workers_help_until_the_driver_is_the_limit():
    costs = replace(COSTS, film_minutes=5)  # so that the last film is soon done
    days = {n: simulate(costs, n, hours=60).days for n in (1, 2, 50, 100)}
    assert days[2] == pytest.approx(days[1] / 2, rel=0.05)
    assert days[100] == pytest.approx(days[50], rel=0.01)
    enough = drivers_wanted(costs, 50, has_gpus=True)
    assert enough > 1
    assert simulate(costs, 50, hours=60, drivers=enough).days < 0.5 * days[50]


def test_without_a_folder_each_machine_fetches_each_film_once():
    alone, many = fleet(1, shares_folder=False), fleet(8, shares_folder=False)
    for each in (alone, many):
        each.run([60, 60])
    film = COSTS.fetch_mbit(60) / COSTS.store_mbit
    other = 120 * COSTS.other_mbit() / COSTS.store_mbit
    assert alone.store.busy_seconds == pytest.approx(2 * film + other)
    assert many.store.busy_seconds == pytest.approx(16 * film + other)


def test_workers_that_die_cost_time_and_are_counted():
    mortal = replace(COSTS, worker_hours=0.2)
    sound, dying = simulate(COSTS, 2, hours=10), simulate(mortal, 2, hours=10)
    assert sound.lost_hours == 0
    assert dying.lost_hours > 0.1
    assert dying.days > sound.days
    assert dying == simulate(mortal, 2, hours=10)


def test_nothing_is_busier_than_all_the_time():
    for outcome in simulate_fleets(COSTS, [1, 20], 20, seed=1):
        assert all(0 < share <= 1 + 1e-9 for share in outcome.busy.values())
        assert math.isfinite(outcome.dollars_per_hour_of_film)


def test_the_script_prints_a_table_and_writes_json(tmp_path):
    words = ["--hours", "5", "--fleets", "2", "--json", str(tmp_path / "fleet.json")]
    script = ROOT / "benchmarks" / "simulate_fleet.py"
    printed = subprocess.run(
        [sys.executable, script, *words], capture_output=True, text=True, check=True
    ).stdout
    rows = json.loads((tmp_path / "fleet.json").read_text())
    assert len(printed.splitlines()) == len(rows) + 2
    assert {row["workers"] for row in rows} == {2}


@pytest.mark.slow
def test_the_table_in_the_docs_is_what_the_simulation_says():
    outcomes = simulate_fleets(Costs.read(BENCH, REST), [1, 10, 100], 10_000, seed=0)
    assert table(outcomes) in (ROOT / "docs" / "how-to" / "scale.md").read_text()
