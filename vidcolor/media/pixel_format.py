"""How a film's samples are stored, and in which planar format they are read."""

from dataclasses import dataclass
from typing import Literal

from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from vidcolor.options.values import Matrix

Subsampling = Literal["420", "422", "444"]
"""How many chroma samples there are: a quarter, half or as many as luma samples."""

MATRIX_OF_TAG: dict[int, Matrix] = {
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    9: "bt2020",
    10: "bt2020",
}
"""ITU-T H.273, table 4 (MatrixCoefficients)."""
YCBCR_FORMATS = (
    *("yuv", "yuyv", "yvyu", "uyv", "uyyv", "vuy", "vyu", "ayuv", "v30x", "y2"),
    *("nv", "p0", "p2", "p4", "xv"),
)
"""Prefixes of FFmpeg's Y'CbCr formats; a format that is neither one nor grey is RGB."""
PLANAR_DEPTHS = (8, 9, 10, 12, 14, 16)
"""Bits of a sample that FFmpeg's planar formats hold."""
LIMITED, FULL = 1, 2
"""FFmpeg's numbers of the ranges."""
UNSPECIFIED = 2
"""ITU-T H.273: the value of unset color tags."""


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """The film's color tags, as numbers of ITU-T H.273 (2: unspecified)."""

    range: int = 0
    """FFmpeg's number: 0 unspecified, 1 limited, 2 full."""
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """The sample format of a decoded frame."""

    pix_fmt: str
    planar_format: str
    """Format in which frames are read: `pix_fmt` itself where its first plane is luma."""
    depth: int
    """Bits of a luma sample as read: 8, 9, 10, 12, 14 or 16."""
    subsampling: Subsampling
    """Of the result: the source's own, else 420 if both sides are even and 444 if not."""
    is_grey: bool
    """The format has no chroma planes."""
    is_rgb: bool
    """The format is neither grey nor Y'CbCr."""
    full_range: bool
    """Luma spans all codes (0-255), not the limited ones (16-235)."""
    matrix: Matrix
    """By tag; for an untagged film, bt709 from 1280 pixels width or 577 lines on (mpv's rule)."""
    color: ColorTags


def picture_format(first: VideoFrame) -> PictureFormat:
    """Return the sample format of a film from its first decoded frame."""
    name = first.format.name
    is_grey = name.startswith(("gray", "ya8", "ya16"))
    is_ycbcr = name.startswith(YCBCR_FORMATS)
    is_full = name.startswith("yuvj") or int(first.color_range) == FULL
    is_full = is_full and (is_grey or is_ycbcr)
    is_full = is_full or (is_grey and int(first.color_range) != LIMITED)
    planar = _planar_format(first, is_grey=is_grey, is_ycbcr=is_ycbcr)
    is_even = first.width % 2 == 0 and first.height % 2 == 0
    own = _subsampling(first) if is_ycbcr else None
    return PictureFormat(
        pix_fmt=name,
        planar_format=planar,
        depth=VideoFormat(planar).components[0].bits,
        subsampling=own or ("420" if is_even else "444"),
        is_grey=is_grey,
        is_rgb=not (is_grey or is_ycbcr),
        full_range=is_full,
        matrix=_matrix(first),
        color=_color_tags(first, is_full, is_ycbcr=is_ycbcr),
    )


def _planar_format(first: VideoFrame, *, is_grey: bool, is_ycbcr: bool) -> str:
    """Return the format itself if its first plane is luma, else the nearest one that has it."""
    name, bits = first.format.name, first.format.components[0].bits
    starts_with_luma = is_grey or (is_ycbcr and first.format.is_planar and name.startswith("yuv"))
    is_other = first.format.is_big_endian or "msb" in name or name.startswith(("ya", "grayf"))
    if starts_with_luma and not is_other and bits <= 16:
        return name
    depth = next((depth for depth in PLANAR_DEPTHS if depth >= bits), 16)
    samples = "" if depth == 8 else f"{depth}le"
    if is_grey:
        return f"gray{samples}"
    own = _subsampling(first) if is_ycbcr else None
    return f"yuv{own or '444'}p{samples}"


def _subsampling(frame: VideoFrame) -> Subsampling | None:
    """Return the chroma layout, None of the rare ones (4:1:1, 4:1:0, 4:4:0)."""
    known: dict[tuple[int, int], Subsampling] = {
        (32, 32): "420",
        (32, 64): "422",
        (64, 64): "444",
    }
    return known.get((frame.format.chroma_width(64), frame.format.chroma_height(64)))


def _matrix(frame: VideoFrame) -> Matrix:
    guess: Matrix = "bt709" if frame.width >= 1280 or frame.height > 576 else "bt601"
    return MATRIX_OF_TAG.get(int(frame.colorspace), guess)


def _color_tags(frame: VideoFrame, is_full: bool, *, is_ycbcr: bool) -> ColorTags:
    """Return the tags of the result: the film's own, plus what RGB and grey do not set."""
    matrix, color_range = int(frame.colorspace), int(frame.color_range)
    if not is_ycbcr:
        color_range = LIMITED
    is_untagged = is_ycbcr and matrix == UNSPECIFIED
    # Chroma is made by one of the three matrices, whatever the film's own was made by.
    if matrix not in (1, 4, 5, 6, 9) and not is_untagged:
        matrix = {"bt601": 6, "bt709": 1, "bt2020": 9}[_matrix(frame)]
    return ColorTags(
        range=FULL if is_full else color_range,
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=matrix,
    )
