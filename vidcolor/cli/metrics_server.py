"""Metrics of a run, for Prometheus: `--metrics-port`.

They are always counted; prometheus_client, of the extra `vidcolor[metrics]`, is needed only to
serve them.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from vidcolor.errors import OptionsError
from vidcolor.pipeline.journal import Segment

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger(__name__)


class Numbers:
    """One metric: a number for each value of a label, or a single number. Thread-safe."""

    def __init__(
        self,
        name: str,
        help: str,
        *,
        label: str = "",
        values: Iterable[str] = (),
        grows: bool = True,
    ) -> None:
        self.name, self.help, self.label, self.grows = name, help, label, grows
        self._lock = Lock()
        self._values = dict.fromkeys(values if label else [""], 0.0)

    def add(self, more: float = 1, value: str = "") -> None:
        """Add to the number of a value, which starts at 0."""
        with self._lock:
            self._values[value] = self._values.get(value, 0) + more

    def put(self, number: float, value: str) -> None:
        """Set the number of a value."""
        with self._lock:
            self._values[value] = number

    def drop(self, value: str) -> None:
        """Remove a value, if there is one."""
        with self._lock:
            self._values.pop(value, None)

    def now(self) -> dict[str, float]:
        """Return the current numbers, by the value of the label."""
        with self._lock:
            return dict(self._values)


class Monitor:
    """Counts films, frames, seconds of each stage and errors of a run.

    monitor = Monitor()
    with monitor.film(Path("in.mp4"), 240) as watch:
        render("in.mp4", "out.mp4", options, on_frame=watch.frame, on_segment=watch.segment)

    Several threads may each render a film. A film has its own metrics only while it is rendered:
    those of ten thousand films would fill Prometheus's memory.
    """

    def __init__(self) -> None:
        self.films = Numbers(
            "vidcolor_films",
            "Films by result; skipped: finished by an earlier run.",
            label="outcome",
            values=("done", "failed", "interrupted", "skipped"),
        )
        self.errors = Numbers(
            "vidcolor_errors", "Films that failed, by kind of error.", label="kind"
        )
        self.frames = Numbers("vidcolor_frames", "Frames rendered by this run.")
        self.segments = Numbers("vidcolor_segments", "Segments rendered by this run.")
        self.seconds = Numbers(
            "vidcolor_stage_seconds", "Seconds of work in each stage.", label="stage"
        )
        self.frames_done = Numbers(
            "vidcolor_film_frames",
            "Frames done of each film in progress.",
            label="film",
            grows=False,
        )
        self.frames_expected = Numbers(
            "vidcolor_film_frames_expected",
            "Frames expected of each film in progress.",
            label="film",
            grows=False,
        )

    @contextmanager
    def film(self, film: Path, expected_frames: int | None) -> Iterator["FilmMetrics"]:
        """Count the frames of a film while the block lasts, and how it ends.

        Args:
            film: its path; films that are rendered at the same time have different paths.
            expected_frames: its number of frames; None if unknown.
        """
        name = str(film).encode("utf-8", "backslashreplace").decode()
        if expected_frames is not None:
            self.frames_expected.put(expected_frames, name)
        outcome = "interrupted"
        try:
            yield FilmMetrics(self, name)
            outcome = "done"
        except Exception as error:
            outcome = "failed"
            self.errors.add(value=type(error).__name__)
            raise
        finally:
            self.films.add(value=outcome)
            self.frames_done.drop(name)
            self.frames_expected.drop(name)


class FilmMetrics:
    """Counts the frames of a film in progress."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        self._monitor, self._name = monitor, name
        self.frame(0)

    def frame(self, done: int) -> None:
        """Set how many of its frames are done, including those of earlier runs."""
        self._monitor.frames_done.put(done, self._name)

    def segment(self, segment: Segment) -> None:
        """Count a segment that this run has rendered."""
        self._monitor.segments.add()
        self._monitor.frames.add(segment.frame_count)
        for stage, seconds in segment.stage_seconds.items():
            self._monitor.seconds.add(seconds, stage)


@contextmanager
def monitored(port: int | None) -> Iterator[Monitor]:
    """Count what happens in the block, and serve the metrics at http://HOST:PORT/metrics.

    Args:
        port: on every address of the machine; 0: any free port, which is logged; None: do not
            serve.

    Raises:
        OptionsError: the port is not free, or the extra is not installed.
    """
    monitor = Monitor()
    if port is None:
        yield monitor
        return
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    except ImportError as error:
        raise OptionsError(
            "--metrics-port: needs prometheus_client; run pip install 'vidcolor[metrics]'"
        ) from error
    registry = CollectorRegistry()
    registry.register(_Collector(monitor))
    ProcessCollector(registry=registry)  # CPU seconds and memory of this process
    try:
        server, thread = start_http_server(port, registry=registry)
    except OSError as error:
        raise OptionsError(f"--metrics-port {port}: {error.strerror}; use another port") from error
    log.info("metrics: http://localhost:%d/metrics", server.server_port)
    try:
        yield monitor
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Collector:
    """Gives Prometheus the current metrics each time it asks."""

    def __init__(self, monitor: Monitor) -> None:
        self._metrics = [n for n in vars(monitor).values() if isinstance(n, Numbers)]

    def collect(self) -> Iterable["Metric"]:
        """Return the current metrics."""
        return [_family(numbers) for numbers in self._metrics]


def _family(numbers: Numbers) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if numbers.grows else GaugeMetricFamily
    family = kind(numbers.name, numbers.help, labels=[numbers.label] if numbers.label else [])
    for value, number in numbers.now().items():
        family.add_metric([value] if numbers.label else [], number)
    return family
