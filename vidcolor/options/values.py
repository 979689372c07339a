"""Values of options: closed choices, and parsers for times, rates and lists."""

import re
from fractions import Fraction
from typing import Literal

from vidcolor.errors import OptionsError

Matrix = Literal["bt601", "bt709", "bt2020"]
"""The matrices of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance)."""
Grey = Literal["bt601", "bt709", "lab"]
"""How grey is computed from color: Y' by a matrix, or CIE lightness."""
Codec = Literal["libx264", "libx265", "libsvtav1", "ffv1", "prores_ks"]
Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["auto", "torch", "onnx"]
Workers = int | Literal["auto"]
Prediction = Literal["chroma", "rgb", "ab", "bins"]
"""What a network returns: color as `vidcolor.color.Output` holds it, or logits of 313 ab bins."""
Verification = Literal["quick", "full", "none"]


def seconds_from_text(text: str, *, option: str) -> Fraction:
    """Return the seconds that `12.5`, `30s`, `1:02.5` or `HH:MM:SS.mmm` name, exactly.

    Raises:
        OptionsError: the text is not a time, or minutes or seconds are 60 or more.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)s?", text.strip())
    if match is None:
        raise OptionsError(
            f"{option} {text!r}: is not a time; write seconds (12.5) or HH:MM:SS (00:01:30)"
        )
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    if (match[2] and seconds >= 60) or (match[1] and minutes >= 60):
        raise OptionsError(f"{option} {text!r}: minutes and seconds must be below 60")
    return hours * 3600 + minutes * 60 + seconds


def text_from_seconds(seconds: Fraction) -> str:
    """Return `HH:MM:SS.mmm`, rounded down: reading from there on includes the given time."""
    minutes, milliseconds = divmod(int(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def rate_from_text(text: str) -> Fraction:
    """Return the frames a second that `25`, `23.976` or `24000/1001` name, exactly.

    Raises:
        OptionsError: the text is not a rate, or not between 1/60 and 1000.
    """
    match = re.fullmatch(r"\d+(?:\.\d+)?|\d+/0*[1-9]\d*", text.strip())
    rate = Fraction(text.strip()) if match else Fraction(0)
    require(
        Fraction(1, 60) <= rate <= 1000,
        f"--rate {text!r}: is not a frame rate; write frames per second, as 25 or 24000/1001",
    )
    return rate


def labels_from_text(text: str) -> tuple[int, ...]:
    """Return the labels that `3,7` lists.

    Raises:
        OptionsError: the text is not a list of whole numbers.
    """
    is_list = re.fullmatch(r"\d+(?:,\d+)*", text) is not None
    require(is_list, f"--pick {text!r}: is not a list of labels; write whole numbers, as 3,7")
    return tuple(map(int, text.split(",")))


def require(is_met: bool, message: str) -> None:
    """Raise OptionsError with this message unless a condition is met.

    Raises:
        OptionsError: the condition is not met.
    """
    if not is_met:
        raise OptionsError(message)


def span_from_text(start: str | None, end: str | None) -> tuple[Fraction | None, Fraction | None]:
    """Return the seconds that `--start` and `--end` name; None for one that is not given.

    Raises:
        OptionsError: one is not a time, or they are not in order.
    """
    begins = None if start is None else seconds_from_text(start, option="--start")
    ends = None if end is None else seconds_from_text(end, option="--end")
    require(
        ends is None or (begins or 0) < ends,
        f"--end {end}: is not after --start {start or 0}; give a later time",
    )
    return begins, ends


def check_temperature(temperature: float) -> None:
    """Raise OptionsError if a `--decode-temperature` is out of range.

    Raises:
        OptionsError: it is out of range.
    """
    require(
        0 < temperature <= 1,
        f"--decode-temperature {temperature}: must be above 0 and at most 1",
    )


def check_stabilize(strength: float) -> None:
    """Raise OptionsError if a `--stabilize` is out of range.

    Raises:
        OptionsError: it is out of range.
    """
    require(
        0 <= strength <= 1,
        f"--stabilize {strength}: must be between 0 (no smoothing) and 1",
    )
