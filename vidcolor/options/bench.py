"""The options of `bench`."""

from dataclasses import dataclass

from vidcolor.errors import OptionsError
from vidcolor.options.render import RenderOptions


@dataclass(frozen=True, kw_only=True)
class BenchOptions(RenderOptions):
    """What to measure: a render with these options."""

    frames: int = 120
    """Frames to render, from --start; stages are measured on the first 48 of them."""
    height: int = 1080
    """Height of the drawn film if no film is given, pixels; its aspect ratio is 16:9."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames < 1:
            raise OptionsError(f"--frames {self.frames}: must be 1 or more")
        if not 64 <= self.height <= 4320 or self.height % 2:
            raise OptionsError(f"--height {self.height}: must be even, between 64 and 4320")
