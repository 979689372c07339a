"""The options of `render`: how a film is read, colored and written, and on which machines."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vidcolor.errors import OptionsError
from vidcolor.options.values import (
    Codec,
    Device,
    Engine,
    Verification,
    Workers,
    check_stabilize,
    check_temperature,
    labels_from_text,
    rate_from_text,
    require,
    span_from_text,
)


@dataclass(frozen=True, kw_only=True)
class ColorOptions:
    """How a film is read and colored."""

    model: str = "default"
    """Name of a model, or a folder that train wrote."""
    device: Device = "auto"
    """Device that runs the network; auto uses CUDA if available."""
    engine: Engine = "auto"
    """Inference engine; auto: ONNX Runtime on a CPU if installed, but torch for short films."""
    size: int | None = None
    """Short side of the network's input, pixels; default: from the model's card."""
    saturation: float = 1.0
    """Multiplies the chroma; 0 keeps the film grey."""
    temperature: float = 0.0
    """White balance: warmer (up to 100) or cooler (down to -100) colors."""
    tint: float = 0.0
    """White balance: towards magenta (up to 100) or green (down to -100)."""
    stabilize: float = 1.0
    """Temporal smoothing of color along motion, within each shot, 0 to 1; 0: none."""
    decode_temperature: float = 0.38
    """For models that predict bins: 1 takes their mean (muted), near 0 the likeliest (vivid)."""
    seed: int = 0
    """Random seed, for models whose result varies."""
    mask: str | None = None
    """Color only where this picture, film or folder is white, or a shape: half:left, rect:..."""
    mask_feather: int = 8
    """Width of the mask's soft edge, pixels of the film; 0: hard edges."""
    pick: str | None = None
    """Read --mask as a label map and color only these labels: 3,7."""
    scenes: Path | None = None
    """CSV list of shots, as PySceneDetect writes it; default: shots are detected."""
    sidecar: str | None = None
    """TOML file with per-shot settings, or none; default: FILM.vidcolor.toml next to the film."""
    reference: tuple[str, ...] = ()
    """Frame colored by hand, FRAME.png@TIME, or a folder of them; its shot takes its colors."""
    hints: Path | None = None
    """TOML or JSON file of color hints: points or boxes, each with a time and a color."""
    deinterlace: bool = False
    """Deinterlace an interlaced film; this changes its luma."""
    rate: str | None = None
    """Frame rate of a folder of pictures, 25 or 24000/1001; default: 24."""
    max_pixels: int = 64
    """Largest picture to decode, megapixels; a small file can claim a huge picture."""
    batch: int | None = None
    """Frames per network call; default: 8 on CUDA, 1 on a CPU."""
    min_size: int | None = None
    """Smallest --size to fall back to if memory runs out; default: no fallback."""

    def __post_init__(self) -> None:
        require(
            self.size is None or 32 <= self.size <= 2160,
            f"--size {self.size}: must be between 32 and 2160; most models like 192 to 320",
        )
        require(
            not (self.engine == "onnx" and self.device == "cuda"),
            "--engine onnx --device cuda: ONNX Runtime runs on CPUs only; remove one of them",
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
            require(
                self.mask is not None, f"--pick {self.pick}: needs labels; add --mask with them"
            )
        require(self.max_pixels >= 1, f"--max-pixels {self.max_pixels}: must be 1 or more")
        require(self.batch is None or self.batch >= 1, f"--batch {self.batch}: must be 1 or more")
        require(
            self.min_size is None or self.min_size >= 32,
            f"--min-size {self.min_size}: must be 32 or more",
        )
        if self.rate is not None:
            rate_from_text(self.rate)


STORES = {"s3": "s3fs", "gs": "gcsfs", "file": "fsspec"}
"""Kinds of object stores, and the Python package for each."""


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where workers run; does not change the result."""

    ray: str | None = None
    """Render on a Ray cluster: auto (this machine's), local (start one), or HOST:PORT."""
    store: str | None = None
    """Object store, if --ray machines share no folder: s3://BUCKET/PREFIX, gs:// or file://."""
    worker_gpus: float = 1.0
    """GPUs per Ray worker, with --device cuda or a GPU here; 0.5: two workers share one."""
    worker_cpus: float = 1.0
    """CPUs per Ray worker."""

    def check_cluster(self) -> None:
        """Check the resources per Ray worker and the address of the store.

        Raises:
            OptionsError: one of them is invalid.
        """
        for option in ("worker_gpus", "worker_cpus"):
            value = getattr(self, option)
            name = f"--{option.replace('_', '-')} {value:g}"
            if value <= 0:
                raise OptionsError(f"{name}: must be above 0, as 1 or 0.5")
            if value > 1 and value % 1:
                raise OptionsError(f"{name}: must be whole if above 1; use 0.5, 1 or 2")
        if self.store is not None:
            self._check_store(self.store)

    def _check_store(self, store: str) -> None:
        address = urlsplit(store)
        if address.scheme not in STORES or not (address.netloc or address.path.strip("/")):
            raise OptionsError(
                f"--store {store}: is not a store's address; write s3://BUCKET/PREFIX, "
                "gs://BUCKET/PREFIX or file:///FOLDER"
            )
        if self.ray is None:
            raise OptionsError(f"--store {store}: is used with --ray only; add --ray ADDRESS")


@dataclass(frozen=True, kw_only=True)
class RenderOptions(ColorOptions, ClusterOptions):
    """How to color and write a film."""

    codec: Codec = "libx264"
    """Video encoder. ffv1 is lossless."""
    crf: int | None = None
    """Constant quality for libx264, libx265 and libsvtav1; lower is better and larger."""
    preset: str | None = None
    """Speed preset of the encoder, by its own names (libx264: ultrafast ... veryslow)."""
    start: str | None = None
    """Start time, seconds or HH:MM:SS."""
    end: str | None = None
    """End time (exclusive), seconds or HH:MM:SS."""
    overwrite: bool = False
    """Replace the output file if it exists."""
    restart: bool = False
    """Start over instead of resuming an interrupted render."""
    strict: bool = False
    """Fail rather than convert or drop anything, or render a damaged film."""
    verify: Verification = "quick"
    """quick: check packets and timestamps of the result; full: also decode all of it; none."""
    report: Path | None = None
    """Write a report on the render and each stream to this file, as JSON."""
    workers: Workers = 1
    """Processes that render segments in parallel, each with a model; auto: fit to this machine."""

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
