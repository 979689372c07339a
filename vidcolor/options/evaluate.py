"""The options of `evaluate` and `compare-models`."""

from dataclasses import dataclass
from pathlib import Path

from vidcolor.options.values import Device, check_stabilize, check_temperature, require


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What to score, and how."""

    model: str = "default"
    """Name of a model, or a folder that train wrote."""
    dataset: str | None = None
    """Dataset whose test frames are the ground truth."""
    clips: Path | None = None
    """Folder of color films (or one film) to use as ground truth."""
    data: Path = Path("data")
    """Folder that contains the datasets."""
    size: int = 256
    """Short side at which scores are computed, pixels."""
    max_frames: int = 0
    """Score only this many frames from the start of each film; 0: all."""
    frames: tuple[int, ...] = ()
    """Score only these frames of each film or test split, or these photos; 0 is the first."""
    stabilize: float = 1.0
    """Temporal smoothing of color along motion, within each shot, 0 to 1; 0: none."""
    decode_temperature: float = 0.38
    """For models that predict bins: 1 takes their mean (muted), near 0 the likeliest (vivid)."""
    seed: int = 0
    """Random seed, for models whose result varies."""
    device: Device = "auto"
    """Device that runs the network; auto uses CUDA if available."""
    json: Path | None = None
    """Write the scores to this file, as JSON."""
    sheet: Path | None = None
    """Write a contact sheet to this PNG: grey, result and ground truth."""
    pictures: Path | None = None
    """Write each row of the contact sheet to this folder as a PNG, at the size that was scored."""
    perceptual_backbone: Path | None = None
    """Weights of torchvision's AlexNet, VGG16 or SqueezeNet 1.1: adds a perceptual distance."""
    lpips_backbone: Path | None = None
    """AlexNet weights (torchvision's alexnet-owt) for LPIPS, if they are not in the cache."""

    def __post_init__(self) -> None:
        require(
            (self.dataset is None) != (self.clips is None),
            "evaluate: needs one ground truth; give either --dataset NAME or --clips FOLDER",
        )
        require(self.size >= 64, f"--size {self.size}: too small for SSIM; use 64 or more")
        require(self.max_frames >= 0, f"--max-frames {self.max_frames}: must not be negative")
        require(
            min(self.frames, default=0) >= 0,
            f"--frames {min(self.frames, default=0)}: must not be negative; the first frame is 0",
        )
        require(
            not (self.frames and self.max_frames),
            "evaluate: --frames and --max-frames exclude each other; give only one",
        )
        check_stabilize(self.stabilize)
        check_temperature(self.decode_temperature)


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What to train and score the models on."""

    dataset: str
    """Dataset to train on: a name, a packed file or a folder of frames."""
    data: Path = Path("data")
    """Folder that contains the datasets."""
    clips: Path | None = None
    """Folder of color films (or one film) to score on; default: the dataset's test frames."""
    out: Path = Path("comparison")
    """Folder for the trained models, the table, the plots and the contact sheet."""
    max_steps: int | None = None
    """Training steps for each model; default: the recipe's."""
    max_frames: int = 0
    """Score only this many frames from the start of each film; 0: all."""
    size: int = 256
    """Short side at which scores are computed, pixels."""
    device: Device = "auto"
    """Device for training and scoring; auto uses CUDA if available."""
