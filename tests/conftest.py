"""What all tests share: the checkout on the import path, and clips drawn into a test's folder."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent.parent))
# Read when torch is imported, here and in every process that a test starts: threads that wait for
# each other spin, and on a machine with other work they hold each other up many times over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.clips import draw_clip

# An example may take its time: a disk that has other work makes one that writes wait.
settings.register_profile("vidcolor", deadline=None)
settings.load_profile("vidcolor")


LONG_FILES = (
    "workers/test_ray_pool.py",
    "rendering/test_kill.py",
    "batch/test_batch.py",
    "rendering/test_resume.py",
    "training/test_train.py",
    "rendering/test_fuzz.py",
    "training/test_accelerator.py",
)
"""Files that take longest: where several processes share the tests, they are started first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first, so that none is left for one process at the end."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what is cached of the models of tests out of the user's folder."""
    os.environ.setdefault("VIDCOLOR_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a small model's folder, which no test may change."""
    from tests.faults import tiny_model  # late: few tests need torch

    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _messages_as_before():
    """Leave no handler of a command's messages to the tests after it."""
    logger = logging.getLogger("vidcolor")
    handlers, level = logger.handlers, logger.level
    yield
    logger.handlers, logger.level = handlers, level


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """Draw a clip: `draw("name.mp4", frames=10, ...)`; the fields are those of tests.clips.Clip."""

    def draw_here(name: str = "film.mp4", **wanted: Any) -> Path:
        return draw_clip(tmp_path / name, **wanted)

    return draw_here
