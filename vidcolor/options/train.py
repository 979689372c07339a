"""The options of `train` and `lr-find`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidcolor.options.values import Device, Prediction, require

FamilyName = Literal[
    "temporal-unet",
    "squeeze-unet",
    "efficient-unet",
    "fusion-unet",
    "masked-unet",
    "fullres-gan",
    "ab-classifier",
    "residual-encoder",
    "fully-connected",
]
Preset = Literal["default", "seed000", "seed001", "seed002", "seed002-text", "seed003", "seed004"]
PixelLoss = Literal["l1", "l2", "huber"]
Window = Literal[1, 3]
Schedule = Literal["constant", "cosine"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Gan = Literal["lsgan", "bce"]
Fusion = Literal["concat", "attention"]
DiscriminatorKind = Literal["patch", "fc", "flat"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train a generator; defaults are those of the command in seed 002's README."""

    dataset: str
    """Dataset to train on: a name, a packed file or a folder of frames."""
    data: Path = Path("data")
    """Folder that contains the datasets."""
    out: Path | None = None
    """Folder for the model; default: models/DATASET."""
    model: FamilyName = "temporal-unet"
    """Network family."""
    preset: Preset = "default"
    """default: our best settings; seed...: an original as in its code, -text as in its paper."""
    output: Prediction | None = None
    """What the network predicts; default: set by family and preset."""
    pixel_loss: PixelLoss | None = None
    """Pixel loss: absolute (l1), squared (l2) or Huber; default: set by family and preset."""
    masks: str | None = None
    """For networks that take masks: kinds (halves,noise) or folders of masks; default: all."""
    size: int = 224
    """Height and width of the network's input, pixels (the original: 224 or 480)."""
    crop: bool = True
    """Train on random crops; off: squash whole frames to a square, as the original does."""
    window: Window | None = None
    """Frames the generator sees: 3, or 1 (no neighbours); default: set by the family."""
    batch_size: int = 8
    """Windows per step, over all processes."""
    epochs: int = 50
    """Passes over the dataset."""
    max_steps: int | None = None
    """Stop after this many steps."""
    lr: float = 1e-3
    """Learning rate of both Adam optimizers."""
    discriminator_lr: float | None = None
    """Learning rate of the discriminator; default: --lr."""
    lr_schedule: Schedule = "constant"
    """constant, or cosine: decays to 1/100 over the training."""
    weight_decay: float = 0.0
    """Weight decay of both optimizers."""
    clip: float | None = None
    """Clip gradients to this norm; default: no clipping."""
    pixel_weight: float = 20.0
    """Weight of the pixel loss in the generator's loss (the original's lambda)."""
    rarity: float = 0.0
    """Weight pixels by the rarity of their color to this power; 0.5 gives bolder colors."""
    rebalance: float | None = None
    """Weight bins by rarity, mixed with this share of the uniform distribution (original: 0.5)."""
    adversarial_weight: float = 1.0
    """Weight of the adversarial loss; 0 trains without a discriminator."""
    adversarial_from: float = 0.0
    """Share of the training after which the discriminator starts, 0 to 1."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual loss: distance of result and truth in a classifier's features."""
    perceptual_backbone: Path | None = None
    """Weights of that classifier, a .pth file: torchvision's alexnet, vgg16 or squeezenet1_1, or
    EfficientNet-Lite's, whose classes are compared too."""
    teacher_weight: float = 0.0
    """Weight of the teacher's loss: distance of the encoder's features, which sees grey, from those
    of a classifier that sees color. For efficient-unet."""
    teacher: Path | None = None
    """Weights of that classifier: EfficientNet-Lite's of the encoder (a .pth file)."""
    temporal_weight: float = 0.0
    """Weight of the temporal loss: change of color along the film's motion."""
    pair_discriminator: bool = False
    """Show the discriminator the previous frame too, so that it detects flicker."""
    fusion: Fusion = "concat"
    """How temporal-unet fuses neighbouring frames: concat, or attention, which follows motion."""
    gan: Gan = "lsgan"
    """lsgan: least squares; bce: the original GAN's log-likelihood."""
    discriminator: DiscriminatorKind = "patch"
    """patch judges 70-pixel patches; fc (seed 002) and flat (seed 000) judge whole pictures."""
    generator_every: int = 1
    """Update the generator every n-th step (the original's numG)."""
    discriminator_every: int = 1
    """Update the discriminator every n-th step (the original's numD)."""
    ngf: int = 64
    """Base channels of the generator; fixed for squeeze-unet."""
    ndf: int = 32
    """Base channels of the discriminator."""
    self_attention: bool = False
    """Add self-attention to the generator (temporal-unet) and the discriminator."""
    average: float = 0.0
    """Decay of the moving average (EMA) of the generator's weights, which is saved; 0: none."""
    init: str | None = None
    """Start from the weights of this model (name or folder), or from ImageNet weights (.pth)."""
    still_motion: bool = True
    """Turn a photo into a window by simulated camera motion; off: repeat the photo."""
    film_look: float = 0.0
    """Add grain, blur, flicker and scratches of old film to the input: 0 none, 1 a worn print."""
    backbone: str = "xception"
    """Classifier inside fusion-unet: xception, squeezenet1_1, or a timm model."""
    backbone_weights: Path | None = None
    """Its pretrained weights, a .pth or .safetensors file; default: download them."""
    random_backbone: bool = False
    """Start the classifier from random instead of pretrained weights."""
    fine_tune: bool = False
    """Train the classifier too, at a fifth of the learning rate."""
    balance: bool = False
    """Sample sources by the square root of their size, so that a long film does not dominate."""
    seed: int = 0
    """Random seed for initial weights, order and crops."""
    device: Device = "auto"
    """Device for training; auto uses CUDA if available."""
    precision: Precision = "auto"
    """Compute precision; weights stay fp32. auto: bf16 on GPUs that support it, else fp32."""
    checkpoint_minutes: float = 10.0
    """Longest time between two checkpoints, minutes; each epoch ends with one, too."""
    samples: int = 8
    """Windows on each epoch's sample picture: grey, result, ground truth."""
    tensorboard: bool = False
    """Write TensorBoard event files to the model's folder."""
    resume: bool = False
    """Resume from the checkpoint in the model's folder."""

    def __post_init__(self) -> None:
        require(self.size >= 32, f"--size {self.size}: must be 32 or more")
        for option in ("batch_size", "epochs", "generator_every", "discriminator_every", "ndf"):
            value = getattr(self, option)
            require(value >= 1, f"--{option.replace('_', '-')} {value}: must be 1 or more")
        require(self.ngf >= 8, f"--ngf {self.ngf}: must be 8 or more")
        require(
            self.max_steps is None or self.max_steps >= 1,
            f"--max-steps {self.max_steps}: must be 1 or more",
        )
        require(self.lr > 0, f"--lr {self.lr}: must be above 0")
        require(
            self.discriminator_lr is None or self.discriminator_lr > 0,
            f"--discriminator-lr {self.discriminator_lr}: must be above 0",
        )
        require(self.clip is None or self.clip > 0, f"--clip {self.clip}: must be above 0")
        require(
            self.rebalance is None or 0 < self.rebalance <= 1,
            f"--rebalance {self.rebalance}: must be above 0 and at most 1 (uniform weights)",
        )
        for option in (
            "pixel_weight", "adversarial_weight", "perceptual_weight", "temporal_weight",
            "weight_decay", "rarity", "teacher_weight",
        ):  # fmt: skip
            value = getattr(self, option)
            require(value >= 0, f"--{option.replace('_', '-')} {value}: must not be negative")
        require(
            0 <= self.film_look <= 1,
            f"--film-look {self.film_look}: must be between 0 (none) and 1 (a worn print)",
        )
        require(
            not self.perceptual_weight or self.perceptual_backbone is not None,
            "--perceptual-weight: needs a classifier; add --perceptual-backbone FILE",
        )
        require(
            not self.teacher_weight or self.teacher is not None,
            "--teacher-weight: needs a classifier; add --teacher FILE",
        )
        require(
            0 <= self.adversarial_from <= 1 and 0 <= self.average < 1,
            "--adversarial-from must be 0 to 1, --average 0 to below 1",
        )


@dataclass(frozen=True, kw_only=True)
class LrFindOptions:
    """Which learning rates to try."""

    min: float = 1e-6
    """First learning rate."""
    max: float = 1.0
    """Last learning rate; the test stops early if the loss diverges."""
    steps: int = 100
    """Number of steps; each multiplies the rate by the same factor."""

    def __post_init__(self) -> None:
        require(
            0 < self.min < self.max,
            f"--min {self.min} --max {self.max}: must be above 0, and --max above --min",
        )
        require(self.steps >= 10, f"--steps {self.steps}: too few to find a slope; use 10 or more")
