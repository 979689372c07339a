"""How long 10,000 hours of film take on 1, 10 and 100 GPUs, what they cost, and what breaks first.

    python benchmarks/simulate_fleet.py
    python benchmarks/simulate_fleet.py --hours 1000 --fleets 4 40 --json fleet.json

A discrete-event simulation of `vidcolor batch --ray`. A driver plans films, several at once: it
decodes each and finds its shots. Workers fetch, decode, color and encode; the driver joins what
they made. Whoever waits for something that is in use is served in the order of coming. Costs of the
stages are what `vidcolor bench --height 1080 --json` measured (bench-1080p.json); the rest is in
fleet.toml, where what was measured and what is assumed are told apart.

The unit of work is a minute of film, a dozen segments, so that a run takes a minute; what a worker
decodes beside its segments is counted.
"""

import argparse
import heapq
import json
import math
import random
import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
BENCH, REST = HERE / "bench-1080p.json", HERE / "fleet.toml"
AHEAD = 2
"""Units in flight for each worker, as with parts in vidcolor/workers/pool.py."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a frame, a worker and a machine cost. Units are in fleet.toml."""

    stages: dict[str, float]
    """CPU seconds of each stage for a frame, by the names of `vidcolor bench`."""
    start_worker: float
    """Seconds until a worker that was just begun renders: Python, torch and the model."""
    join: float
    network_gpu: float
    cores_per_gpu: int
    driver_cores: int
    cores_per_cpu_worker: int
    busy_share: float
    rate: float
    segment_frames: int
    context_frames: int
    seek_frames: int
    film_mbit: float
    result_mbit: float
    store_mbit: float
    machine_mbit: float
    film_minutes: float
    film_spread: float
    worker_hours: float
    replace_seconds: float
    gpu_dollars: float
    core_dollars: float

    @classmethod
    def read(cls, bench: Path, rest: Path) -> "Costs":
        """Read what `vidcolor bench --json` printed, and both tables of the rest."""
        measured = json.loads(bench.read_text(encoding="utf-8"))
        tables = tomllib.loads(rest.read_text(encoding="utf-8"))
        return cls(
            stages={name: cost["cpu_seconds"] for name, cost in measured["stages"].items()},
            start_worker=measured["whole"]["start_cpu_seconds"],
            **tables["measured"],
            **tables["assumed"],
        )

    @property
    def minute(self) -> float:
        """Frames of a minute of film."""
        return self.rate * 60

    def plan_seconds(self) -> float:
        """Return the seconds of a driver's core for a minute of film."""
        return self.minute * (self.stages["decode"] + self.stages["shots"])

    def join_seconds(self) -> float:
        """Return the seconds of a driver's core for a minute of film in color."""
        return self.minute * self.join

    def worker_cpu_seconds(self, *, has_gpu: bool) -> float:
        """Return the CPU seconds of a worker for a minute of film."""
        seen = 1 + self.context_frames / self.segment_frames  # the network sees the neighbours, too
        decoded = seen + self.seek_frames / self.segment_frames
        times = dict.fromkeys(self.stages, 1.0) | {"decode": decoded, "shots": 0}
        times |= dict.fromkeys(("luma resize", "around the network", "stabilise"), seen)
        times |= dict.fromkeys(("encode features", "decode chroma"), 0 if has_gpu else seen)
        return self.minute * sum(times[stage] * cost for stage, cost in self.stages.items())

    def gpu_seconds(self) -> float:
        """Return the seconds of a GPU for a minute of film."""
        return self.minute * self.network_gpu * (1 + self.context_frames / self.segment_frames)

    def render_seconds(self, *, has_gpu: bool) -> float:
        """Return how long a worker takes for a minute of film: as long as its slowest part."""
        cores = self.cores_per_gpu if has_gpu else self.cores_per_cpu_worker
        on_cores = self.worker_cpu_seconds(has_gpu=has_gpu) / (cores * self.busy_share)
        return max(on_cores, self.gpu_seconds() if has_gpu else 0.0)

    def fetch_mbit(self, minutes: float) -> float:
        """Return what a worker fetches of a film, by its minutes, in a store of whole films."""
        return 60 * minutes * self.film_mbit

    def read_mbit(self) -> float:
        """Return what a worker reads of a film in a shared folder for a minute of it."""
        beside = (self.context_frames + self.seek_frames) / self.segment_frames
        return 60 * self.film_mbit * (1 + beside)

    def other_mbit(self) -> float:
        """Return what else goes over the wire for a minute of film.

        The film to where it is planned, its segments there, back for joining, and the result.
        """
        return 60 * (self.film_mbit + 3 * self.result_mbit)


class Resource:
    """So many of something, and the queue of those who wait for one."""

    def __init__(self, count: int) -> None:
        self.count = self.free = count
        self.waiting: deque[Process] = deque()
        self.busy_seconds = 0.0

    def give_back(self, clock: "Clock", busy_seconds: float) -> None:
        """Hand one to who has waited longest, or keep it; it was in use for so long."""
        self.busy_seconds += busy_seconds
        if self.waiting:
            clock.after(0, self.waiting.popleft())
        else:
            self.free += 1


Process = Iterator["float | Resource"]
"""Yields seconds that it takes, or a resource that it needs one of."""


class Clock:
    """Lets processes take their time, in the order of simulated time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._coming: list[tuple[float, int, Process]] = []
        self._count = 0

    def after(self, seconds: float, process: Process) -> None:
        """Go on with a process after so many seconds."""
        self._count += 1
        heapq.heappush(self._coming, (self.now + seconds, self._count, process))

    def run(self) -> float:
        """Let everything come to its end, and return when that is."""
        while self._coming:
            self.now, _, process = heapq.heappop(self._coming)
            self._step(process)
        return self.now

    def _step(self, process: Process) -> None:
        for wish in process:
            if isinstance(wish, Resource):
                if wish.free:
                    wish.free -= 1
                    continue
                wish.waiting.append(process)
            else:
                self.after(wish, process)
            return


@dataclass
class Film:
    """A film under way."""

    minutes: int
    ahead: Resource
    """What may be planned before it is rendered."""
    done: Resource
    """Minutes that are rendered."""
    machines: set[int] = field(default_factory=set)
    """Those that hold it, where they share no folder."""


class Fleet:
    """Drivers, workers and a store at work on films."""

    def __init__(
        self,
        costs: Costs,
        workers: int,
        *,
        has_gpus: bool,
        drivers: int,
        shares_folder: bool,
        seed: int,
    ) -> None:
        self.costs, self.has_gpus, self.shares_folder = costs, has_gpus, shares_folder
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.workers = Resource(workers)
        self.drivers = Resource(drivers * costs.driver_cores)
        self.films = Resource(drivers * costs.driver_cores)
        self.store = Resource(1)
        self.lost_seconds = 0.0

    def run(self, films: Iterable[int]) -> float:
        """Return the seconds that films of so many minutes take."""
        for minutes in films:
            film = Film(minutes, Resource(AHEAD * self.workers.count), Resource(0))
            self.clock.after(0, self._film(film))
        return self.clock.run()

    def _film(self, film: Film) -> Process:
        yield self.films
        for _ in range(film.minutes):
            yield film.ahead
            yield from self._use(self.drivers, self.costs.plan_seconds())
            self.clock.after(0, self._minute(film))
        for _ in range(film.minutes):
            yield film.done
        yield from self._use(self.drivers, film.minutes * self.costs.join_seconds())
        self.films.give_back(self.clock, 0)

    def _minute(self, film: Film) -> Process:
        yield self.workers
        mbit = self._fetched_mbit(film)
        yield from self._use(self.store, (mbit + self.costs.other_mbit()) / self.costs.store_mbit)
        yield mbit / self.costs.machine_mbit
        seconds = self.costs.render_seconds(has_gpu=self.has_gpus)
        while (lives := self.chance.expovariate(1 / (3600 * self.costs.worker_hours))) < seconds:
            lost = lives + self.costs.replace_seconds + self.costs.start_worker
            self.lost_seconds += lost
            yield lost
        yield seconds
        self.workers.give_back(self.clock, seconds)
        film.ahead.give_back(self.clock, 0)
        film.done.give_back(self.clock, 0)

    def _fetched_mbit(self, film: Film) -> float:
        """Return what the worker of a minute of film must fetch: any machine may be the next."""
        if self.shares_folder:
            return self.costs.read_mbit()
        machine = self.chance.randrange(self.workers.count)
        if machine in film.machines:
            return 0.0
        film.machines.add(machine)
        return self.costs.fetch_mbit(film.minutes)

    def _use(self, resource: Resource, seconds: float) -> Process:
        yield resource
        yield seconds
        resource.give_back(self.clock, seconds)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a fleet."""

    workers: int
    has_gpus: bool
    drivers: int
    shares_folder: bool
    days: float
    dollars_per_hour_of_film: float
    busy: dict[str, float]
    """Share of the time that each resource was in use, 0 to 1."""
    lost_hours: float
    """What workers that died had done for nothing, and the waiting for others."""


def films_of(hours: float, costs: Costs, chance: random.Random) -> list[int]:
    """Return the minutes of each film, the longest first, `hours` together."""
    films: list[int] = []
    left = round(hours * 60)
    while left > 0:
        drawn = chance.lognormvariate(math.log(costs.film_minutes), costs.film_spread)
        films.append(min(left, max(1, round(drawn))))
        left -= films[-1]
    return sorted(films, reverse=True)


def simulate(
    costs: Costs,
    workers: int,
    *,
    hours: float,
    has_gpus: bool = True,
    drivers: int = 1,
    shares_folder: bool = True,
    seed: int = 0,
) -> Outcome:
    """Return what becomes of `hours` of film on a fleet."""
    films = films_of(hours, costs, random.Random(seed))
    fleet = Fleet(
        costs, workers, has_gpus=has_gpus, drivers=drivers, shares_folder=shares_folder, seed=seed
    )
    seconds = fleet.run(films)
    minutes = sum(films)
    cores = costs.cores_per_gpu if has_gpus else costs.cores_per_cpu_worker
    on_cores = minutes * costs.worker_cpu_seconds(has_gpu=has_gpus)
    busy = {
        "cores": on_cores / (workers * cores * seconds),
        "driver": fleet.drivers.busy_seconds / (fleet.drivers.count * seconds),
        "store": fleet.store.busy_seconds / seconds,
    }
    if has_gpus:
        busy["GPUs"] = minutes * costs.gpu_seconds() / (workers * seconds)
    dollars_an_hour = (
        workers * (costs.gpu_dollars if has_gpus else cores * costs.core_dollars)
        + drivers * costs.driver_cores * costs.core_dollars
    )
    return Outcome(
        workers=workers,
        has_gpus=has_gpus,
        drivers=drivers,
        shares_folder=shares_folder,
        days=seconds / 86400,
        dollars_per_hour_of_film=dollars_an_hour * seconds / (60 * minutes),
        busy=busy,
        lost_hours=fleet.lost_seconds / 3600,
    )


def drivers_wanted(costs: Costs, workers: int, *, has_gpus: bool) -> int:
    """Return how many driver machines plan and join as fast as the workers render."""
    driven = costs.plan_seconds() + costs.join_seconds()
    rendered = costs.render_seconds(has_gpu=has_gpus) / workers
    return math.ceil(driven / rendered / costs.driver_cores)


def simulate_fleets(costs: Costs, fleets: Sequence[int], hours: float, seed: int) -> list[Outcome]:
    """Return what becomes of each fleet: with one driver, with enough, and without a folder."""
    outcomes = []
    for has_gpus in (True, False):
        for workers in fleets:
            enough = drivers_wanted(costs, workers, has_gpus=has_gpus)
            ways = dict.fromkeys(((1, True), (enough, True), (enough, False)))
            for drivers, shares_folder in ways:
                outcomes.append(
                    simulate(
                        costs,
                        workers,
                        hours=hours,
                        has_gpus=has_gpus,
                        drivers=drivers,
                        shares_folder=shares_folder,
                        seed=seed,
                    )
                )
    return outcomes


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a table in Markdown."""
    shares = ("GPUs", "cores", "driver", "store")
    columns = ["workers", "drivers", "films in", "days", "$ an hour of film", *shares]
    rows = [columns, ["---"] * len(columns)]
    for outcome in outcomes:
        rows.append(
            [
                f"{outcome.workers} {'GPU' if outcome.has_gpus else 'CPU'}",
                str(outcome.drivers),
                "a folder" if outcome.shares_folder else "a store",
                f"{outcome.days:.1f}",
                f"{outcome.dollars_per_hour_of_film:.2f}",
                *(f"{outcome.busy[name]:.0%}" if name in outcome.busy else "" for name in shares),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10_000)
    parser.add_argument("--fleets", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--bench", type=Path, default=BENCH, help="what vidcolor bench --json says")
    parser.add_argument("--rest", type=Path, default=REST, help="all else, measured and assumed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    costs = Costs.read(chosen.bench, chosen.rest)
    outcomes = simulate_fleets(costs, chosen.fleets, chosen.hours, chosen.seed)
    print(table(outcomes))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))


if __name__ == "__main__":
    main()
