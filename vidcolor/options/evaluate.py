"""The options of `evaluate` and `compare-models`."""

from dataclasses import dataclass
from pathlib import Path

from vidcolor.options.values import Device, check_stabilize, check_temperature, require


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is scored, and how."""

    model: str = "default"
    """Name of a model, or the folder that training wrote."""
    dataset: str | None = None
    """Dataset whose test frames are the truth."""
    clips: Path | None = None
    """Folder of colour films (or one film) that are the truth."""
    data: Path = Path("data")
    """Folder that holds the datasets."""
    size: int = 256
    """Short side at which the scores are taken, pixels."""
    max_frames: int = 0
    """Frames of each film that are scored, from its start; 0: all."""
    frames: tuple[int, ...] = ()
    """Score these alone: frames of each film, of the dataset's test split, or photos, from 0."""
    stabilize: float = 1.0
    """How steady colours are held along motion, within each shot; 0: each frame for itself."""
    decode_temperature: float = 0.38
    """Of a model that predicts bins: 1 is their mean and calm, towards 0 the likeliest, vivid."""
    seed: int = 0
    """Decides among the results of a model that takes noise."""
    device: Device = "auto"
    """Where the network runs."""
    json: Path | None = None
    """File for the scores as JSON."""
    sheet: Path | None = None
    """PNG for a contact sheet: grey, result and truth."""
    pictures: Path | None = None
    """Folder for the rows of the sheet as PNGs of their own, as large as they were scored."""
    perceptual_backbone: Path | None = None
    """Weights of torchvision's AlexNet, VGG16 or SqueezeNet 1.1: adds a distance as it sees it."""
    lpips_backbone: Path | None = None
    """AlexNet weights file (torchvision's alexnet-owt) for LPIPS, where it is not in the cache."""

    def __post_init__(self) -> None:
        require(
            (self.dataset is None) != (self.clips is None),
            "evaluate: give the truth as either --dataset NAME or --clips FOLDER",
        )
        require(self.size >= 64, f"--size {self.size}: SSIM needs at least 64 pixels")
        require(self.max_frames >= 0, f"--max-frames {self.max_frames}: must not be negative")
        require(
            min(self.frames, default=0) >= 0,
            f"--frames {min(self.frames, default=0)}: frames are counted from 0",
        )
        require(
            not (self.frames and self.max_frames), "evaluate: give either --frames or --max-frames"
        )
        check_stabilize(self.stabilize)
        check_temperature(self.decode_temperature)


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What networks are compared on."""

    dataset: str
    """Dataset that all learn from: a name, a packed file or a folder of frames."""
    data: Path = Path("data")
    """Folder that holds the datasets."""
    clips: Path | None = None
    """Folder of colour films (or one film) that all are scored on; default: the test frames."""
    out: Path = Path("comparison")
    """Folder for a model a row, the table, the plots and the contact sheet."""
    max_steps: int | None = None
    """Steps of each training; default: what the recipe says."""
    max_frames: int = 0
    """Frames of each film that are scored, from its start; 0: all."""
    size: int = 256
    """Short side at which the scores are taken, pixels."""
    device: Device = "auto"
    """Where to train and score; auto takes CUDA where there is one."""
