"""The options of `preview` and `compare`, which show films before and after rendering."""

from dataclasses import dataclass

from vidcolor.errors import OptionsError
from vidcolor.options.render import ColorOptions
from vidcolor.options.values import seconds_from_text, span_from_text


@dataclass(frozen=True, kw_only=True)
class PreviewOptions(ColorOptions):
    """Which frames to show, and how to color them."""

    at: tuple[str, ...] = ()
    """Times to show, seconds or HH:MM:SS; default: six, spread over the film."""
    every: str | None = None
    """Show one frame per interval, from the start; 30s or 0:30."""
    compare: tuple[str, ...] = ()
    """Models to show side by side, instead of --model."""
    split: bool = False
    """Show each time as one picture in vertical strips: grey, then each model."""
    cell: int = 480
    """Longest side of a picture on the sheet, pixels; 0: full size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for moment in self.at:
            seconds_from_text(moment, option="--at")
        if self.at and self.every is not None:
            raise OptionsError("preview: --at and --every exclude each other; give only one")
        if self.every is not None and not seconds_from_text(self.every, option="--every"):
            raise OptionsError(f"--every {self.every}: must be above 0")
        if self.cell < 0:
            raise OptionsError(f"--cell {self.cell}: must not be negative; 0 keeps the full size")


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """Which part of two films a page shows, and how large."""

    start: str | None = None
    """Start time in film A, seconds or HH:MM:SS."""
    end: str | None = None
    """End time in film A (exclusive), seconds or HH:MM:SS."""
    offset: str = "0"
    """Time in A at which B starts: the --start of its render."""
    size: int = 480
    """Short side of the films on the page, pixels. Smaller films are not enlarged."""
    embed: int = 32
    """Embed films of up to this many megabytes together in the page; larger: separate files."""

    def __post_init__(self) -> None:
        span_from_text(self.start, self.end)
        seconds_from_text(self.offset, option="--offset")
        if self.size < 16:
            raise OptionsError(f"--size {self.size}: must be 16 or more")
        if self.embed < 0:
            raise OptionsError(f"--embed {self.embed}: must not be negative; 0 embeds nothing")
