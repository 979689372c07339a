"""What all tests share: the checkout on the import path, and clips drawn into a test's folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.clips import draw_clip


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """Draw a clip: `draw("name.mp4", frames=10, ...)`; the fields are those of tests.clips.Clip."""

    def draw_here(name: str = "film.mp4", **wanted: Any) -> Path:
        return draw_clip(tmp_path / name, **wanted)

    return draw_here
