"""The options of `preview` and `compare`: films are looked at before and after rendering."""

from dataclasses import dataclass

from vidcolor.errors import OptionsError
from vidcolor.options.render import ColorOptions
from vidcolor.options.values import seconds_from_text, span_from_text


@dataclass(frozen=True, kw_only=True)
class PreviewOptions(ColorOptions):
    """Which frames of a film are shown, and how they are coloured."""

    at: tuple[str, ...] = ()
    """Moments to show, seconds or HH:MM:SS; default: six, spread over the film."""
    every: str | None = None
    """Show a frame from the start and again after so long, 30s or 0:30."""
    compare: tuple[str, ...] = ()
    """Models to put side by side, instead of --model."""
    split: bool = False
    """One picture a moment, of upright strips: grey, then each model."""
    cell: int = 480
    """Longest side of a picture on the sheet, pixels; 0: as large as the film."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for moment in self.at:
            seconds_from_text(moment, option="--at")
        if self.at and self.every is not None:
            raise OptionsError("preview: give either --at or --every")
        if self.every is not None and not seconds_from_text(self.every, option="--every"):
            raise OptionsError(f"--every {self.every}: must be above 0")
        if self.cell < 0:
            raise OptionsError(f"--cell {self.cell}: must not be negative; 0 shrinks nothing")


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What of two films is put on a page, and how large."""

    start: str | None = None
    """First moment of A to show, seconds or HH:MM:SS."""
    end: str | None = None
    """Last moment of A (not included), seconds or HH:MM:SS."""
    offset: str = "0"
    """Moment of A at which B begins: what `render --start` was told."""
    size: int = 480
    """Short side of the films on the page, pixels. A smaller film is not enlarged."""
    embed: int = 32
    """Megabytes up to which both films together are put into the page; else they lie beside it."""

    def __post_init__(self) -> None:
        span_from_text(self.start, self.end)
        seconds_from_text(self.offset, option="--offset")
        if self.size < 16:
            raise OptionsError(f"--size {self.size}: must be 16 or more")
        if self.embed < 0:
            raise OptionsError(f"--embed {self.embed}: must not be negative; 0 embeds nothing")
