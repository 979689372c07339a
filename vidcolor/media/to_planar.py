"""Convert pictures to the film's planar format, unless they have it already."""

from av.video.frame import VideoFrame

from vidcolor.media.frame import plane_of
from vidcolor.media.pixel_format import FULL, LIMITED, picture_format
from vidcolor.media.probe import Film

SWS_MATRIX = {"bt601": 5, "bt709": 1, "bt2020": 9}
"""libswscale's numbers of the matrices (SWS_CS_*)."""
OPAQUE = 255
"""8-bit alpha of an opaque pixel."""


def shape_of(picture: VideoFrame) -> str:
    """Return what should not change within a film: a picture's size, format and range."""
    is_full = picture_format(picture).full_range
    return _shape(picture.width, picture.height, picture.format.name, is_full)


def shape_of_film(film: Film) -> str:
    """Return the shape of a film's first picture."""
    return _shape(film.width, film.height, film.pix_fmt, film.full_range)


def _shape(width: int, height: int, pix_fmt: str, full_range: bool) -> str:
    levels = " of full range" if full_range else ""
    return f"{width}x{height} {pix_fmt.replace('yuvj', 'yuv')}{levels}"


def planar(film: Film, picture: VideoFrame) -> VideoFrame:
    """Return a picture in the film's planar format, size and range.

    A picture that has them is returned as it is. Others are converted by libswscale, which keeps
    the luma codes of Y'CbCr and grey where only their order in memory differs.
    """
    found = picture_format(picture)
    is_ready = (
        (picture.width, picture.height) == (film.width, film.height)
        and found.pix_fmt.replace("yuvj", "yuv") == film.planar_format.replace("yuvj", "yuv")
        and found.full_range == film.full_range
    )
    if is_ready:
        return picture
    wanted = FULL if film.full_range else LIMITED
    own = FULL if found.is_rgb or found.full_range else LIMITED
    # libswscale takes all grey for full range: with limited range set, it would stretch it.
    is_grey = found.is_grey or film.is_grey
    if is_grey and own == wanted:
        own = wanted = FULL
    return picture.reformat(
        width=film.width,
        height=film.height,
        format=film.planar_format,
        src_color_range=own,
        dst_colorspace=SWS_MATRIX[film.matrix] if found.is_rgb else None,
        dst_color_range=wanted,
        interpolation="BICUBIC",
    )


def is_transparent(picture: VideoFrame) -> bool:
    """Tell whether a picture has pixels that are not opaque."""
    if not (picture.format.has_palette or any(p.is_alpha for p in picture.format.components)):
        return False
    alpha_hw = plane_of(picture.reformat(format="yuva444p"), 3, 8)
    return int(alpha_hw.min()) < OPAQUE
