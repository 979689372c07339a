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
    """How a generator is trained; defaults are those of seed 002's README command."""

    dataset: str
    """Dataset to learn from: a name, a packed file or a folder of frames."""
    data: Path = Path("data")
    """Folder that holds the datasets."""
    out: Path | None = None
    """Folder of the model; default: models/ and the dataset's name."""
    model: FamilyName = "temporal-unet"
    """Network family."""
    preset: Preset = "default"
    """default is our best; seed... is an original as its code has it, -text as its paper does."""
    output: Prediction | None = None
    """What the network predicts; default: what the family and its preset do."""
    pixel_loss: PixelLoss | None = None
    """Absolute (l1), squared (l2) or Huber's error; default: what the family and its preset do."""
    masks: str | None = None
    """For a network that takes masks: kinds (halves,noise) or folders of them; default: all."""
    size: int = 224
    """Height and width of what the network is shown, pixels (the original: 224 or 480)."""
    crop: bool = True
    """Show random parts at their true aspect; off squashes whole frames, as the original does."""
    window: Window | None = None
    """Frames the generator sees, 3 or 1 (without neighbours); default: the family's own."""
    batch_size: int = 8
    """Windows in a step, of all processes together."""
    epochs: int = 50
    """Times that the dataset is gone through."""
    max_steps: int | None = None
    """Stop after so many steps."""
    lr: float = 1e-3
    """Learning rate of both Adams."""
    discriminator_lr: float | None = None
    """Learning rate of the discriminator's Adam; default: --lr."""
    lr_schedule: Schedule = "constant"
    """constant, or cosine: falls to a hundredth over the whole training."""
    weight_decay: float = 0.0
    """Weight decay of both Adams."""
    clip: float | None = None
    """Largest norm of an Adam's gradients; larger ones are shortened to it. Default: any."""
    pixel_weight: float = 20.0
    """Weight of the pixel loss in the generator's loss (the original's lambda)."""
    rarity: float = 0.0
    """Weigh pixels by the rarity of their colour to this power; 0.5 makes colours bolder."""
    rebalance: float | None = None
    """Weigh bins by rarity, this share of the uniform distribution mixed in (original: 0.5)."""
    adversarial_weight: float = 1.0
    """Weight of the adversarial loss; 0 trains without a discriminator."""
    adversarial_from: float = 0.0
    """Share of the training after which the discriminator joins, 0 to 1."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual loss: the distance of results and truths in a classifier's eyes."""
    perceptual_backbone: Path | None = None
    """Weights of that classifier: torchvision's alexnet, vgg16 or squeezenet1_1 (a .pth file)."""
    temporal_weight: float = 0.0
    """Weight of the temporal loss: how much colour changes along the film's motion."""
    pair_discriminator: bool = False
    """Let the discriminator see the frame before, too: it learns what flickers."""
    fusion: Fusion = "concat"
    """How temporal-unet joins neighbours: concat, or attention, which looks for what moved."""
    gan: Gan = "lsgan"
    """lsgan: least squares; bce: the original GAN's log-likelihood."""
    discriminator: DiscriminatorKind = "patch"
    """patch judges patches of 70 pixels; fc (seed 002) and flat (seed 000) a whole picture."""
    generator_every: int = 1
    """The generator learns every n-th step (the original's numG)."""
    discriminator_every: int = 1
    """The discriminator learns every n-th step (the original's numD)."""
    ngf: int = 64
    """Base channels of the generator; squeeze-unet's are fixed."""
    ndf: int = 32
    """Base channels of the discriminator."""
    self_attention: bool = False
    """Self-attention in generator (temporal-unet) and discriminator."""
    average: float = 0.0
    """Decay of a moving average of the generator's weights, which is what is kept; 0: none."""
    init: str | None = None
    """Start from this model's weights (name or folder), or from ImageNet weights (a .pth file)."""
    still_motion: bool = True
    """Make a window of a photo by moving a camera over it; off shows it three times."""
    film_look: float = 0.0
    """Show the generator grain, blur, flicker and scratches of old film: 0 none, 1 a worn print."""
    backbone: str = "xception"
    """Classifier that tells fusion-unet what a frame shows: xception, squeezenet1_1, or timm's."""
    backbone_weights: Path | None = None
    """Its published weights, a .pth or .safetensors file; default: they are fetched."""
    random_backbone: bool = False
    """Do without published weights; the classifier then has little to say."""
    fine_tune: bool = False
    """Let the classifier learn too, at a fifth of the learning rate."""
    balance: bool = False
    """Draw from sources by the square root of their size, so that a long film does not rule."""
    seed: int = 0
    """Decides initial weights, order and crops."""
    device: Device = "auto"
    """Where to train; auto takes CUDA where there is one."""
    precision: Precision = "auto"
    """Of what networks compute; weights stay fp32. auto: bf16 on a GPU that has it, else fp32."""
    checkpoint_minutes: float = 10.0
    """A checkpoint is written at least so often, and after every epoch."""
    samples: int = 8
    """Windows on the sample picture of an epoch: grey, result, truth."""
    tensorboard: bool = False
    """Write event files for TensorBoard into the model's folder, beside the log."""
    resume: bool = False
    """Go on from the checkpoint in the model's folder."""

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
            f"--rebalance {self.rebalance}: must be above 0 and at most 1, which weighs all alike",
        )
        for option in (
            "pixel_weight", "adversarial_weight", "perceptual_weight", "temporal_weight",
            "weight_decay", "rarity",
        ):  # fmt: skip
            value = getattr(self, option)
            require(value >= 0, f"--{option.replace('_', '-')} {value}: must not be negative")
        require(
            0 <= self.film_look <= 1,
            f"--film-look {self.film_look}: must be between 0 (none) and 1 (a worn print)",
        )
        require(
            not self.perceptual_weight or self.perceptual_backbone is not None,
            "--perceptual-weight: say which classifier, with --perceptual-backbone FILE",
        )
        require(
            0 <= self.adversarial_from <= 1 and 0 <= self.average < 1,
            "--adversarial-from must be 0 to 1, --average 0 to below 1",
        )


@dataclass(frozen=True, kw_only=True)
class LrFindOptions:
    """Which learning rates are tried."""

    min: float = 1e-6
    """The first learning rate."""
    max: float = 1.0
    """The last one; the test ends before it where the loss diverges."""
    steps: int = 100
    """Steps from the first to the last; each multiplies the rate alike."""

    def __post_init__(self) -> None:
        require(
            0 < self.min < self.max,
            f"--min {self.min} --max {self.max}: must be above 0, and --max above --min",
        )
        require(self.steps >= 10, f"--steps {self.steps}: too few to see a slope; use 10 or more")
