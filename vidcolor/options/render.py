"""One frozen dataclass a verb: filled alike from flags, from a recipe and from a call.

Each checks itself when made, so what the verbs receive can be meant. Here are those of `render` and
what it shares with others; other verbs have an options_VERB.py.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vidcolor.errors import OptionsError
from vidcolor.options.cluster import ClusterOptions

Matrix = Literal["bt601", "bt709", "bt2020"]
"""The matrices of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance)."""
Grey = Literal["bt601", "bt709", "lab"]
"""What a black-and-white film holds of a colour: Y' by a matrix, or CIE lightness."""
Codec = Literal["libx264", "libx265", "libsvtav1", "ffv1", "prores_ks"]
Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["auto", "torch", "onnx"]
Workers = int | Literal["auto"]
Prediction = Literal["chroma", "rgb", "ab", "bins"]
"""What a network returns: colour as `vidcolor.color.Output` holds it, or logits of 313 ab bins."""
Verification = Literal["quick", "full", "none"]


def seconds_from_text(text: str, *, option: str) -> Fraction:
    """Return the seconds that `12.5`, `30s`, `1:02.5` or `HH:MM:SS.mmm` name, exactly.

    Raises:
        OptionsError: the text is no time, or minutes or seconds are 60 or more.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)s?", text.strip())
    if match is None:
        raise OptionsError(
            f"{option} {text!r}: not a time; write seconds (12.5) or HH:MM:SS (00:01:30)"
        )
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    if (match[2] and seconds >= 60) or (match[1] and minutes >= 60):
        raise OptionsError(f"{option} {text!r}: minutes and seconds must be below 60")
    return hours * 3600 + minutes * 60 + seconds


def text_from_seconds(seconds: Fraction) -> str:
    """Return `HH:MM:SS.mmm`, cut off: what is shown then is the first thing from that time on."""
    minutes, milliseconds = divmod(int(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def rate_from_text(text: str) -> Fraction:
    """Return the frames a second that `25`, `23.976` or `24000/1001` name, exactly.

    Raises:
        OptionsError: the text is no rate, or not between 1/60 and 1000.
    """
    match = re.fullmatch(r"\d+(?:\.\d+)?|\d+/0*[1-9]\d*", text.strip())
    rate = Fraction(text.strip()) if match else Fraction(0)
    require(
        Fraction(1, 60) <= rate <= 1000,
        f"--rate {text!r}: not a rate; write frames a second, as 25 or 24000/1001",
    )
    return rate


def labels_from_text(text: str) -> tuple[int, ...]:
    """Return the labels that `3,7` lists.

    Raises:
        OptionsError: the text is no list of whole numbers.
    """
    is_list = re.fullmatch(r"\d+(?:,\d+)*", text) is not None
    require(is_list, f"--pick {text!r}: not a list of labels; write whole numbers, as 3,7")
    return tuple(map(int, text.split(",")))


def require(is_met: bool, message: str) -> None:
    """Refuse options that do not meet a condition.

    Raises:
        OptionsError: they do not; says the message.
    """
    if not is_met:
        raise OptionsError(message)


def span_from_text(start: str | None, end: str | None) -> tuple[Fraction | None, Fraction | None]:
    """Return the seconds that `--start` and `--end` name; None for one that is not given.

    Raises:
        OptionsError: one is no time, or they are not in order.
    """
    begins = None if start is None else seconds_from_text(start, option="--start")
    ends = None if end is None else seconds_from_text(end, option="--end")
    require(
        ends is None or (begins or 0) < ends,
        f"--end {end}: not after --start {start or 0}; give a later time",
    )
    return begins, ends


def check_temperature(temperature: float) -> None:
    """Refuse a `--decode-temperature` that is out of range.

    Raises:
        OptionsError: says the range.
    """
    require(
        0 < temperature <= 1,
        f"--decode-temperature {temperature}: must be above 0 and at most 1",
    )


def check_stabilize(strength: float) -> None:
    """Refuse a `--stabilize` that is out of range.

    Raises:
        OptionsError: says the range.
    """
    require(
        0 <= strength <= 1,
        f"--stabilize {strength}: must be between 0 (each frame for itself) and 1",
    )


@dataclass(frozen=True, kw_only=True)
class ColorOptions:
    """How a film is read and coloured, whatever becomes of its frames."""

    model: str = "default"
    """Name of a model, or the folder that training wrote."""
    device: Device = "auto"
    """Where the network runs; auto takes CUDA where there is one."""
    engine: Engine = "auto"
    """What runs it; auto: ONNX Runtime on a CPU if installed, but for short films, else torch."""
    size: int | None = None
    """Short side that the network sees, pixels; default: what the model's card says."""
    saturation: float = 1.0
    """Multiplies the colour; 0 leaves the film grey."""
    temperature: float = 0.0
    """Warmer (to 100) or cooler (to -100) colours, as a camera's white balance makes them."""
    tint: float = 0.0
    """Towards magenta (to 100) or green (to -100)."""
    stabilize: float = 1.0
    """How steady colours are held along motion, within each shot; 0: each frame for itself."""
    decode_temperature: float = 0.38
    """Of a model that predicts bins: 1 is their mean and calm, towards 0 the likeliest, vivid."""
    seed: int = 0
    """Decides among the results of a model that takes noise."""
    mask: str | None = None
    """Colour only where this picture, film or folder is white; or half:left, grid:56, rect:..."""
    mask_feather: int = 8
    """Pixels of the film over which colour fades in from a mask's black; 0: hard edges."""
    pick: str | None = None
    """Take --mask for labels, and colour only these: 3,7."""
    scenes: Path | None = None
    """CSV file of the times at which shots begin, as PySceneDetect writes it; default: by eye."""
    sidecar: str | None = None
    """TOML file of settings by shot, or none; default: FILM.vidcolor.toml beside the film."""
    reference: tuple[str, ...] = ()
    """Frame coloured by hand, FRAME.png@TIME, or a folder of them: its shot gets its colours."""
    hints: Path | None = None
    """TOML or JSON file of points and boxes, each with a time and a colour that spreads from it."""
    deinterlace: bool = False
    """Make whole pictures of an interlaced film's fields; its luma changes by that."""
    rate: str | None = None
    """Frames a second of a folder of pictures, 25 or 24000/1001; default 24."""
    max_pixels: int = 64
    """Largest picture that is decoded, millions of pixels; a small file can claim a huge one."""
    batch: int | None = None
    """Frames that the network sees at once; default: 8 on CUDA, 1 on a CPU."""
    min_size: int | None = None
    """Smallest --size to go down to if memory runs out; default: never smaller."""

    def __post_init__(self) -> None:
        require(
            self.size is None or 32 <= self.size <= 2160,
            f"--size {self.size}: must be between 32 and 2160; most models like 192 to 320",
        )
        require(
            not (self.engine == "onnx" and self.device == "cuda"),
            "--engine onnx --device cuda: ONNX Runtime is used on CPUs; leave out one of them",
        )
        require(
            0 <= self.saturation <= 4,
            f"--saturation {self.saturation}: must be between 0 (grey) and 4",
        )
        for option in ("temperature", "tint"):
            value = getattr(self, option)
            require(
                -100 <= value <= 100, f"--{option} {value:g}: must be between -100 and 100; try 20"
            )
        check_stabilize(self.stabilize)
        check_temperature(self.decode_temperature)
        require(
            0 <= self.mask_feather <= 200,
            f"--mask-feather {self.mask_feather}: must be between 0 (hard edges) and 200 pixels",
        )
        if self.pick is not None:
            labels_from_text(self.pick)
            require(self.mask is not None, f"--pick {self.pick}: add --mask with the labels")
        require(self.max_pixels >= 1, f"--max-pixels {self.max_pixels}: must be 1 or more")
        require(self.batch is None or self.batch >= 1, f"--batch {self.batch}: must be 1 or more")
        require(
            self.min_size is None or self.min_size >= 32,
            f"--min-size {self.min_size}: must be 32 or more",
        )
        if self.rate is not None:
            rate_from_text(self.rate)


@dataclass(frozen=True, kw_only=True)
class RenderOptions(ColorOptions, ClusterOptions):
    """How a film is coloured and written."""

    codec: Codec = "libx264"
    """Video encoder of the result. ffv1 is lossless."""
    crf: int | None = None
    """Constant quality of libx264, libx265 and libsvtav1; lower is better and larger."""
    preset: str | None = None
    """Speed preset of the encoder, in its own words (libx264: ultrafast ... veryslow)."""
    start: str | None = None
    """First moment to render, seconds or HH:MM:SS."""
    end: str | None = None
    """Last moment (not included), seconds or HH:MM:SS."""
    overwrite: bool = False
    """Replace a file that already has the output's name."""
    restart: bool = False
    """Begin anew where an interrupted render left finished parts."""
    strict: bool = False
    """Refuse whatever would convert or leave out anything, and a damaged film."""
    verify: Verification = "quick"
    """quick: every packet and time of the result; full: decodes all of it too; none."""
    report: Path | None = None
    """File for what became of each stream, as JSON."""
    workers: Workers = 1
    """Processes that render segments side by side, each with a model; auto: as many as pay here."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_cluster()
        require(
            self.workers == "auto" or self.workers >= 1,
            f"--workers {self.workers}: must be 1 or more, or auto",
        )
        require(
            self.crf is None or 0 <= self.crf <= 63, f"--crf {self.crf}: must be between 0 and 63"
        )
        span_from_text(self.start, self.end)
