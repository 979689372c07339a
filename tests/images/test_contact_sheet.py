"""Contact sheets show what they were given."""

import cv2
import numpy as np
import pytest

from vidcolor.errors import OutputError
from vidcolor.images.contact_sheet import CELL_PX, contact_sheet


def flat(height, width, rgb):
    return np.full((height, width, 3), rgb, dtype=np.uint8)


def read_rgb(path):
    return np.asarray(cv2.imread(str(path)))[:, :, ::-1]


def holds(sheet, picture):
    """Tell whether the picture stands somewhere on the sheet, pixel for pixel."""
    height, width = picture.shape[:2]
    seen = np.lib.stride_tricks.sliding_window_view(sheet, (height, width, 3))
    return bool((seen == picture).all(axis=(-1, -2, -3)).any())


def test_pictures_stand_on_the_sheet_unchanged_and_in_rgb(tmp_path):
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (12, 20, 3), dtype=np.uint8) for _ in range(4)]
    contact_sheet([pictures[:2], pictures[2:]], ["grey", "result"], tmp_path / "sheet.png")
    sheet = read_rgb(tmp_path / "sheet.png")
    assert all(holds(sheet, picture) for picture in pictures)


def test_columns_stand_left_to_right_and_rows_top_to_bottom(tmp_path):
    red, green, blue = (flat(10, 10, rgb) for rgb in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    contact_sheet([[red, green], [blue]], ["a", "b"], tmp_path / "sheet.png")
    sheet = read_rgb(tmp_path / "sheet.png")

    def centre(rgb):
        return np.argwhere((sheet == rgb).all(axis=-1)).mean(axis=0)

    assert centre((255, 0, 0))[1] < centre((0, 255, 0))[1]
    assert centre((255, 0, 0))[0] == centre((0, 255, 0))[0] < centre((0, 0, 255))[0]


def test_pictures_of_different_sizes_share_a_sheet_and_large_ones_are_shrunk(tmp_path):
    rows = [[flat(1080, 1920, 90)], [flat(60, 30, 200)]]
    contact_sheet(rows, ["film"], tmp_path / "sheet.png")
    sheet = read_rgb(tmp_path / "sheet.png")
    assert sheet.shape[1] < CELL_PX + 40
    assert holds(sheet, rows[1][0])


def test_every_column_has_its_heading(tmp_path):
    rows = [[flat(8, 80, 0), flat(8, 80, 0)]]
    contact_sheet(rows, ["one", ""], tmp_path / "sheet.png")
    heading = read_rgb(tmp_path / "sheet.png")[:20]
    middle = heading.shape[1] // 2
    assert heading[:, :middle].max() > 150
    assert heading[:, middle:].max() < 50


def test_every_row_has_its_caption_over_it(tmp_path):
    rows = [[flat(8, 80, 0)], [flat(8, 80, 0)]]
    contact_sheet(rows, [""], tmp_path / "plain.png")
    contact_sheet(rows, [""], tmp_path / "sheet.png", captions=["", "0:00:01"])
    plain, sheet = read_rgb(tmp_path / "plain.png"), read_rgb(tmp_path / "sheet.png")
    assert len(sheet) > len(plain)
    bright = np.flatnonzero((sheet > 150).any(axis=(1, 2)))
    dark = np.flatnonzero((sheet == 0).all(axis=2).any(axis=1))
    assert dark.min() + 7 < bright.min()
    assert bright.max() < dark.max() - 7


@pytest.mark.parametrize("rows", [[], [[]], [[flat(8, 8, 0)] * 3]])
def test_a_sheet_without_pictures_or_labels_for_them_is_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="pictures"):
        contact_sheet(rows, ["one", "two"], tmp_path / "sheet.png")


def test_a_path_that_cannot_be_written_is_named_and_nothing_is_left_behind(tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OutputError, match=r"taken\.png"):
        contact_sheet([[flat(8, 8, 0)]], ["one"], tmp_path / "taken.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.png"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/sheet\.png"):
        contact_sheet([[flat(8, 8, 0)]], ["one"], tmp_path / "file" / "sheet.png")
