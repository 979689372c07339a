"""From a film's luma to its chroma: card, network, and what must be remembered in between."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vidcolor.color import (
    chroma_from_prediction,
    convert_chroma,
    grey_from_luma,
    matrix_of,
)
from vidcolor.errors import ModelError
from vidcolor.network.card import Card
from vidcolor.network.device import choose_device
from vidcolor.network.generator import Features, Generator
from vidcolor.network.weights import find_model, load_network
from vidcolor.options import Device, Matrix
from vidcolor.scaling import resize, working_size
from vidcolor.shots import CutDetector
from vidcolor.windows import windows

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Colored(Generic[Frame]):
    """A frame and the chroma that the network gave it."""

    frame: Frame
    """What `colorize` was given."""
    luma_hw: NDArray[np.float32]
    """Y' at the working size, (h, w) in [0, 1]."""
    chroma_2hw: NDArray[np.float32]
    """Cb, Cr at the working size, (2, h, w), finite; not yet fitted into the gamut."""
    starts_shot: bool
    """The frame is the first after a cut."""


@dataclass(frozen=True)
class _Seen(Generic[Frame]):
    frame: Frame
    luma_hw: NDArray[np.float32]
    features: Features
    starts_shot: bool


class Colorizer:
    """Colours a stream of frames, holding three of them at a time.

    colorizer = Colorizer.load("default")
    for colored in colorizer.colorize(frames, luma=lambda frame: frame.luma, matrix="bt709"):
        show(colored.frame, colored.chroma_2hw)
    """

    def __init__(
        self, card: Card, network: Generator, device: torch.device, size: int | None = None
    ) -> None:
        self.card = card
        self.device = device
        self.size = size or card.working_size
        self.network = network.to(device).eval()

    @classmethod
    def load(cls, name: str, device: Device = "auto", size: int | None = None) -> "Colorizer":
        """Return the colorizer of a model.

        Args:
            name: a model's name or folder.
            device: where its network shall run.
            size: short side that the network sees, pixels; default: what the card says.

        Raises:
            ModelError: there is no such model, or its weights are not to be trusted.
            OptionsError: the device is not there.
        """
        card, network = load_network(find_model(name))
        return cls(card, network, choose_device(device), size)

    def colorize(
        self,
        frames: Iterable[Frame],
        *,
        luma: Callable[[Frame], NDArray[np.float32]],
        matrix: Matrix,
    ) -> Iterator[Colored[Frame]]:
        """Yield every frame with its chroma, one frame behind what is drawn from `frames`.

        Each frame is encoded once and used in up to three windows; no window crosses a cut.

        Args:
            frames: a film's frames in order, all of one size.
            luma: returns a frame's Y', (H, W) in [0, 1].
            matrix: the film's matrix; the chroma is meant in it.

        Raises:
            ModelError: the network returned something that is not a number.
        """
        for previous, current, next_ in windows(self._look(frames, luma), lambda s: s.starts_shot):
            chroma_2hw = self._decode(previous, current, next_, matrix)
            yield Colored(current.frame, current.luma_hw, chroma_2hw, current.starts_shot)

    def _look(
        self, frames: Iterable[Frame], luma: Callable[[Frame], NDArray[np.float32]]
    ) -> Iterator[_Seen[Frame]]:
        detector = CutDetector()
        for frame in frames:
            luma_HW = luma(frame)
            height, width = luma_HW.shape
            luma_hw = resize(luma_HW, *working_size(height, width, self.size))
            starts_shot = detector.is_cut(luma_hw)
            yield _Seen(frame, luma_hw, self._encode(luma_hw), starts_shot)

    @torch.inference_mode()
    def _encode(self, luma_hw: NDArray[np.float32]) -> list[Tensor]:
        luma_11hw = torch.from_numpy(luma_hw)[None, None].to(self.device)
        grey_11hw = grey_from_luma(luma_11hw, self.card.grey)
        height, width = luma_hw.shape
        padding = (0, -width % self.network.multiple, 0, -height % self.network.multiple)
        padded_11hw = functional.pad(grey_11hw, padding, mode="replicate")
        return self.network.encode(padded_11hw)

    @torch.inference_mode()
    def _decode(
        self,
        previous: _Seen[Frame],
        current: _Seen[Frame],
        next_: _Seen[Frame],
        matrix: Matrix,
    ) -> NDArray[np.float32]:
        if self.card.window == 1:
            previous = next_ = current
        prediction = self.network.decode(previous.features, current.features, next_.features)
        height, width = current.luma_hw.shape
        prediction_chw = prediction[0, :, :height, :width].float()
        if not bool(torch.isfinite(prediction_chw).all()):
            raise ModelError(
                f"model {self.card.name!r}: its network returned values that are not numbers; "
                "the weights are damaged, fetch or train them again"
            )
        own_2hw = chroma_from_prediction(prediction_chw, self.card.output, self.card.grey)
        film_2hw = convert_chroma(own_2hw, matrix_of(self.card.grey), matrix)
        chroma_2hw: NDArray[np.float32] = film_2hw.cpu().numpy()
        return chroma_2hw
