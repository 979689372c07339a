"""An HDR film's mastering display metadata, as encoder options.

FFmpeg returns C structs: AVMasteringDisplayMetadata (eleven rationals, two flags; red, green,
blue, white point, luminance) and AVContentLightMetadata (libavutil/mastering_display_metadata.h).
The encoders take chromaticities in units of 0.00002, luminance of 0.0001 cd/m2 (SMPTE ST 2086).
"""

import struct
from fractions import Fraction

from vidcolor.media.probe import Film
from vidcolor.options.values import Codec


def hdr_params(film: Film, codec: Codec) -> list[str]:
    """Return the options of libx264 or libx265 that write the film's HDR metadata."""
    names = {"libx264": ("mastering-display", "cll"), "libx265": ("master-display", "max-cll")}
    if codec not in names:
        return []
    display_name, light_name = names[codec]
    params = []
    display = _mastering_display(film.mastering_display)
    if display is not None:
        params.append(f"{display_name}={display}")
    if film.content_light is not None:
        brightest, average = struct.unpack_from("=2I", film.content_light)
        params.append(f"{light_name}={brightest},{average}")
    return params


def _mastering_display(data: bytes | None) -> str | None:
    if data is None:
        return None
    numbers = struct.unpack_from("=22i", data)
    has_primaries, has_luminance = numbers[20], numbers[21]
    if not (has_primaries and has_luminance):
        return None
    rationals = [
        Fraction(numerator, denominator or 1)
        for numerator, denominator in zip(numbers[0:20:2], numbers[1:20:2], strict=True)
    ]
    red, green, blue, white = (
        f"({round(x * 50000)},{round(y * 50000)})"
        for x, y in zip(rationals[0:8:2], rationals[1:8:2], strict=True)
    )
    darkest, brightest = (round(value * 10000) for value in rationals[8:10])
    return f"G{green}B{blue}R{red}WP{white}L({brightest},{darkest})"
