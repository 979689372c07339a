"""What a user can choose of a render: how a film is read and colored, written, and by whom."""

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


STORES = {"s3": "s3fs", "gs": "gcsfs", "file": "fsspec"}
"""Kinds of stores, and the package that speaks to each."""


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where the workers of a render are; none of it changes a pixel."""

    ray: str | None = None
    """Render on a Ray cluster: auto (the one of this machine), local (begin one), or HOST:PORT."""
    store: str | None = None
    """Where the machines of --ray share no folder: s3://BUCKET/PREFIX, gs:// or file:// for all."""
    worker_gpus: float = 1.0
    """GPUs of a worker on Ray, with --device cuda or a GPU here; 0.5 lets two share one."""
    worker_cpus: float = 1.0
    """CPUs of a worker on Ray."""

    def check_cluster(self) -> None:
        """Refuse what Ray cannot deal out, and a store that is none.

        Raises:
            OptionsError: says which.
        """
        for option in ("worker_gpus", "worker_cpus"):
            value = getattr(self, option)
            name = f"--{option.replace('_', '-')} {value:g}"
            if value <= 0:
                raise OptionsError(f"{name}: must be above 0, as 1 or 0.5")
            if value > 1 and value % 1:
                raise OptionsError(f"{name}: Ray divides one, not several; take a whole number")
        if self.store is not None:
            self._check_store(self.store)

    def _check_store(self, store: str) -> None:
        address = urlsplit(store)
        if address.scheme not in STORES or not (address.netloc or address.path.strip("/")):
            raise OptionsError(
                f"--store {store}: not a store; write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or "
                "file:///FOLDER"
            )
        if self.ray is None:
            raise OptionsError(f"--store {store}: is for other machines; add --ray ADDRESS")


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
