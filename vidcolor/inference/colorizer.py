"""Compute a film's chroma from its luma: card, network, and the state between windows."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vidcolor.color import convert_chroma, grey_from_luma, matrix_of
from vidcolor.errors import ModelError
from vidcolor.images.resize import resize
from vidcolor.inference.backends import AutocastBackend, Backend, OnnxBackend
from vidcolor.inference.batching import (
    Each,
    EncodedFrame,
    FrameBatch,
    ShrunkFrame,
    Window,
    in_batches,
    serial_map,
    shrunk,
    stacked,
)
from vidcolor.inference.fold import fold_and_lay_out
from vidcolor.inference.onnx_cache import graphs_of
from vidcolor.network.card import Card
from vidcolor.network.device import choose_device
from vidcolor.network.generator import Features, Generator
from vidcolor.network.library import find_model
from vidcolor.network.outputs import DECODE_TEMPERATURE, chroma_of
from vidcolor.network.weights import load_network
from vidcolor.options.values import Device, Matrix
from vidcolor.shots.segments import Place
from vidcolor.shots.windows import windows

log = logging.getLogger(__name__)

MaskOf = Callable[[Place], NDArray[np.float32]]
"""Returns where a frame, by its place, is wanted in color, of any size in [0, 1]."""

CUDA_BATCH = 8
"""Frames at once on CUDA: a single one leaves most of a GPU idle. A CPU gains nothing from more,
and the cache loses."""
SMALLER = 0.75
"""Factor of the working size when memory runs out: it needs a little over half of the memory."""


class HalfPrecisionError(ArithmeticError):
    """A value in the network overflowed in float16."""


@dataclass(frozen=True)
class ColoredFrame(Generic[Place]):
    """A frame and the chroma that the network gave it."""

    place: Place
    """What `colorize` was given."""
    luma_hw: NDArray[np.float32]
    """Y' at the working size, (h, w) in [0, 1]."""
    chroma_2hw: NDArray[np.float32]
    """Cb, Cr at the working size, (2, h, w), finite; not yet fitted into the gamut."""
    features: Features | None = None
    """The network's features of the frame, each (1, C, h, w), if they were kept."""


class Colorizer:
    """Colors a stream of frames, holding three of them at a time, or three batches.

    colorizer = Colorizer.load("default")
    for colored in colorizer.colorize(divide(frames, luma=luma), luma=luma, matrix="bt709"):
        show(colored.place.frame, colored.chroma_2hw)
    """

    def __init__(
        self,
        card: Card,
        network: Generator,
        device: torch.device,
        *,
        size: int | None = None,
        batch: int | None = None,
        seed: int = 0,
        temperature: float = DECODE_TEMPERATURE,
        onnx: OnnxBackend | None = None,
    ) -> None:
        """Move the network to its device.

        Args:
            card: of the model.
            network: of the model.
            device: where it runs; a CPU with ONNX graphs.
            size: as for `load`.
            batch: as for `load`.
            seed: as for `load`.
            temperature: as for `load`.
            onnx: its graphs, which encode and decode instead of it.
        """
        self.card, self.seed, self.temperature = card, seed, temperature
        self.network = network.eval()
        self._onnx, self._may_halve = onnx, True
        self._wished_size = size or card.working_size
        self._use(device, self._wished_size, batch or (CUDA_BATCH if device.type == "cuda" else 1))

    def _use(self, device: torch.device, size: int, batch: int) -> None:
        self.device, self.size, self.batch = device, size, batch
        self.network.to(device)
        is_half = device.type == "cuda" and self._may_halve
        own = AutocastBackend(self.network) if is_half else self.network
        self.backend: Backend = self._onnx or own

    @classmethod
    def load(
        cls,
        name: str,
        device: Device = "auto",
        *,
        engine: Literal["torch", "onnx"] = "torch",
        size: int | None = None,
        batch: int | None = None,
        seed: int = 0,
        temperature: float = DECODE_TEMPERATURE,
    ) -> "Colorizer":
        """Return the colorizer of a model.

        Args:
            name: a model's name or folder.
            device: where its network runs.
            engine: what runs it; onnx runs on a CPU.
            size: short side that the network sees, pixels; default: what the card says.
            batch: frames that it sees at once; default: CUDA_BATCH, on a CPU 1.
            seed: makes the noise, where the network takes noise.
            temperature: of the annealed mean, where the network predicts bins.

        Raises:
            ModelError: the model does not exist, its weights are damaged, or ONNX is not
                installed or cannot express it.
            OptionsError: the device is not there.
        """
        folder = find_model(name)
        card, network = load_network(folder)
        fold_and_lay_out(network)
        is_onnx = engine == "onnx"
        return cls(
            card,
            network,
            choose_device("cpu" if is_onnx else device),
            onnx=OnnxBackend(graphs_of(folder)) if is_onnx else None,
            size=size,
            batch=batch,
            seed=seed,
            temperature=temperature,
        )

    def reduce_memory(self, min_size: int | None) -> bool:
        """Need less memory from now on: a smaller batch, then a smaller size, then a CPU.

        Args:
            min_size: smallest working size to go down to, pixels; None: none but the wished one.

        Returns:
            Whether there was anything left to give up; what it was is logged as a warning.
        """
        smaller = max(min_size or self._wished_size, int(self.size * SMALLER))
        if self.batch > 1:
            self._use(self.device, self.size, self.batch // 2)
        elif smaller < self.size:
            self._use(self.device, smaller, 1)
        elif self.device.type != "cpu":
            self._use(torch.device("cpu"), self._wished_size, 1)
        else:
            return False
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.warning(
            "out of memory: continuing with --batch %d --size %d --device %s",
            self.batch,
            self.size,
            self.device.type,
        )
        return True

    def disable_half(self) -> None:
        """Compute in single precision from now on, which is logged as a warning."""
        self._may_halve = False
        self._use(self.device, self.size, self.batch)
        log.warning("model %r: overflowed in float16; continuing in float32", self.card.name)

    def colorize(
        self,
        frames: Iterable[Place],
        *,
        luma: Callable[[Any], NDArray[np.float32]],
        matrix: Matrix,
        mask: MaskOf[Place] | None = None,
        keep_features: bool = False,
        each: Each = serial_map,
    ) -> Iterator[ColoredFrame[Place]]:
        """Yield every frame with its chroma, some batches and a frame behind what is drawn.

        Each frame is encoded once and used in up to three windows; no window crosses a cut.
        Batches have one shape and start again with each segment, so that a frame's chroma does
        not depend on where a run starts.

        Args:
            frames: a film's frames in order, all of one size, with their places.
            luma: returns the Y', (H, W) in [0, 1], of a place's frame.
            matrix: the film's matrix; the chroma is meant in it.
            mask: where it is wanted in color, shown to networks that take masks; None: everywhere.
            keep_features: yield the frames with their features, which take megabytes each.
            each: encodes batches and decodes them, on a CPU; a GPU does one after the other.

        Raises:
            ModelError: the network returned something that is not a number.
            HalfPrecisionError: it did in float16; call `disable_half` and start again.
            RuntimeError: memory ran out (`memory.is_out_of_memory` tells).
        """
        each = each if self.device.type == "cpu" else serial_map
        seen = windows(self._look(frames, luma, mask, each), lambda look: look.place.starts_shot)
        batches = in_batches(seen, self.batch, lambda window: window[1].place.segment)
        for batch, chroma_B2hw in each(partial(self._decoded, matrix=matrix), batches, "decode"):
            for (_, current, _), chroma_2hw in zip(batch, chroma_B2hw, strict=False):
                features = current.features if keep_features else None
                yield ColoredFrame(current.place, current.luma_hw, chroma_2hw, features)

    @torch.inference_mode()
    def features_of(self, luma_hw: NDArray[np.float32]) -> Features:
        """Return the features of a picture that stands alone, (1, C, h, w) each.

        Args:
            luma_hw: its Y', (h, w) in [0, 1], at the working size.
        """
        grey_B1hw = grey_from_luma(self._filled([luma_hw]), self.card.grey)
        frame_Bchw = self.network.frame(grey_B1hw, None, self._noise(grey_B1hw))
        features = self.backend.encode(frame_Bchw, self.network.embed(grey_B1hw))
        return [level[:1] for level in features]

    def _look(
        self,
        frames: Iterable[Place],
        luma: Callable[[Any], NDArray[np.float32]],
        mask: MaskOf[Place] | None,
        each: Each,
    ) -> Iterator[EncodedFrame[Place]]:
        prepared = self._prepared(frames, luma, mask)
        for batch, features in each(self._encoded, prepared, "encode"):
            for number, look in enumerate(batch.looks):
                own = [level[number : number + 1] for level in features]
                yield EncodedFrame(look.place, look.luma_hw, own)

    @torch.inference_mode()
    def _encoded(self, batch: FrameBatch[Place]) -> tuple[FrameBatch[Place], Features]:
        return batch, self.backend.encode(batch.frame_Bchw, batch.embedding_BC)

    def _prepared(
        self,
        frames: Iterable[Place],
        luma: Callable[[Any], NDArray[np.float32]],
        mask: MaskOf[Place] | None,
    ) -> Iterator[FrameBatch[Place]]:
        """Yield batches; what a shot shows passes from one to the next."""
        shot_1C: Tensor | None = None
        small = shrunk(frames, luma, self.size)
        for looks in in_batches(small, self.batch, lambda look: look.place.segment):
            with torch.inference_mode():
                grey_B1hw = grey_from_luma(self._luma(looks), self.card.grey)
                embedding_BC, shot_1C = self._embed(grey_B1hw, looks, shot_1C)
                mask_B1hw = self._mask(looks, mask)
                frame_Bchw = self.network.frame(grey_B1hw, mask_B1hw, self._noise(grey_B1hw))
            yield FrameBatch(looks, frame_Bchw, embedding_BC)

    def _luma(self, batch: Sequence[ShrunkFrame[Place] | EncodedFrame[Place]]) -> Tensor:
        """Return Y' (B, 1, h, w) of a batch, filled."""
        return self._filled([look.luma_hw for look in batch])

    def _mask(
        self, batch: Sequence[ShrunkFrame[Place]], mask: MaskOf[Place] | None
    ) -> Tensor | None:
        """Return masks (B, 1, h, w) of 0 and 1, as in training; None where none are wanted."""
        if not self.network.takes_mask or mask is None:
            return None
        small = [resize(mask(look.place), *look.luma_hw.shape) for look in batch]
        return self._filled([(mask_hw > 0.5).astype(np.float32) for mask_hw in small])

    def _filled(self, planes_hw: list[NDArray[np.float32]]) -> Tensor:
        """Return (B, 1, h, w), a full batch: padded with the last frame, and at the edges."""
        filled_Bhw = np.stack([*planes_hw, *[planes_hw[-1]] * (self.batch - len(planes_hw))])
        planes_B1hw = torch.from_numpy(filled_Bhw)[:, None]
        if self.device.type == "cuda":  # copies pinned memory asynchronously
            planes_B1hw = planes_B1hw.pin_memory().to(self.device, non_blocking=True)
        height, width = filled_Bhw.shape[1:]
        padding = (0, -width % self.network.multiple, 0, -height % self.network.multiple)
        return functional.pad(planes_B1hw, padding, mode="replicate")

    def _embed(
        self, grey_B1hw: Tensor, batch: Sequence[ShrunkFrame[Place]], shot_1C: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the embeddings (B, C) of a batch's shots, and the last one's (1, C).

        Args:
            grey_B1hw: the batch, filled.
            batch: its frames.
            shot_1C: the embedding of the shot at the start of the batch.
        """
        embeddings: list[Any] = []
        for number, look in enumerate(batch):
            if look.is_first:
                shot_1C = self.network.embed(grey_B1hw[number : number + 1])
            embeddings.append(shot_1C)
        if shot_1C is None:
            return None, None
        embeddings += [shot_1C] * (self.batch - len(batch))
        return torch.cat(embeddings), shot_1C

    def _noise(self, grey_B1hw: Tensor) -> Tensor | None:
        """Return the noise (B, n, h, w) in [-1, 1] that the seed makes, the same in every frame."""
        channels, (height, width) = self.network.noise_channels, grey_B1hw.shape[-2:]
        if not channels:
            return None
        random = torch.Generator().manual_seed(self.seed)
        # Channels are drawn first: at any size, the first pixel's are the same.
        noise_1hwn = torch.rand(1, height, width, channels, generator=random) * 2 - 1
        return noise_1hwn.movedim(-1, 1).to(self.device).expand(len(grey_B1hw), -1, -1, -1)

    @torch.inference_mode()
    def _decoded(
        self, batch: Sequence[Window[Place]], *, matrix: Matrix
    ) -> tuple[Sequence[Window[Place]], NDArray[np.float32]]:
        """Return windows and their chroma (B, 2, h, w); a batch is filled with the last one."""
        filled = [*batch, *[batch[-1]] * (self.batch - len(batch))]
        if self.card.window == 1:
            filled = [(current, current, current) for _, current, _ in filled]
        previous, current, next_ = (stacked([w[n].features for w in filled]) for n in range(3))
        predicted_Bchw = self.backend.decode(previous, current, next_).float()
        # A value that is not finite makes the sum so; this takes a tenth of checking each.
        if not bool(torch.isfinite(predicted_Bchw.sum())):
            if isinstance(self.backend, AutocastBackend):
                raise HalfPrecisionError(f"model {self.card.name!r}: overflowed in float16")
            raise ModelError(
                f"model {self.card.name!r}: its network returned values that are not finite, so "
                "its weights are damaged; download or train them again"
            )
        card, luma_B1hw = self.card, self._luma([current for _, current, _ in batch])
        own_B2hw = chroma_of(predicted_Bchw, luma_B1hw, card.output, card.grey, self.temperature)
        film_B2hw = convert_chroma(own_B2hw * card.saturation, matrix_of(card.grey), matrix)
        height, width = batch[0][1].luma_hw.shape
        return batch, film_B2hw[..., :height, :width].cpu().numpy()
