"""The options of `batch`: those of `render`, for many films."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vidcolor.options.render import RenderOptions


@dataclass(frozen=True, kw_only=True)
class BatchOptions(RenderOptions):
    """Which films to color, and how."""

    films: tuple[Path, ...] = ()
    """In a recipe: films, folders, patterns or lists. Else use the positional arguments."""
    out: Path | None = None
    """In a recipe: the output folder. Else use the last positional argument."""
    report: Path | None = None
    """Write the result of each film to this file, as JSON."""
    dry_run: bool = False
    """Print the planned actions and an estimate of time and disk space; render nothing."""

    def of_each(self) -> RenderOptions:
        """Return the options for rendering one film."""
        alike: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(RenderOptions)}
        return replace(RenderOptions(**alike), report=None)
