"""The options of `batch`: those of `render`, for many films."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vidcolor.options.render import RenderOptions


@dataclass(frozen=True, kw_only=True)
class BatchOptions(RenderOptions):
    """Which films are coloured, and how."""

    films: tuple[Path, ...] = ()
    """Films, folders, patterns or lists of them, for a recipe; else they come before the folder."""
    out: Path | None = None
    """Folder for the results, for a recipe; else the last one that is named."""
    report: Path | None = None
    """File for what became of each film, as JSON."""
    dry_run: bool = False
    """Say what would be done, how long it would take and how large the results would be."""

    def of_each(self) -> RenderOptions:
        """Return the options of each film's render."""
        alike: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(RenderOptions)}
        return replace(RenderOptions(**alike), report=None)
