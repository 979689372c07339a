"""One frozen dataclass a verb: filled alike from flags, from a recipe and from a call.

Each checks itself when made, so what the verbs receive can be meant.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vidcolor.errors import OptionsError
from vidcolor.options_cluster import ClusterOptions

Matrix = Literal["bt601", "bt709", "bt2020"]
"""The matrices of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance)."""
Grey = Literal["bt601", "bt709", "lab"]
"""What a black-and-white film holds of a colour: Y' by a matrix, or CIE lightness."""
Codec = Literal["libx264", "libx265", "libsvtav1", "ffv1", "prores_ks"]
Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["auto", "torch", "onnx"]
FrameFormat = Literal["jpg", "png"]
Preset = Literal["default", "seed000", "seed001", "seed002", "seed002-text", "seed003", "seed004"]
Workers = int | Literal["auto"]
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
Prediction = Literal["chroma", "rgb", "ab", "bins"]
"""What a network returns: colour as `vidcolor.color.Output` holds it, or logits of 313 ab bins."""
PixelLoss = Literal["l1", "l2", "huber"]
Window = Literal[1, 3]
Schedule = Literal["constant", "cosine"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Verification = Literal["quick", "full", "none"]
Gan = Literal["lsgan", "bce"]
Fusion = Literal["concat", "attention"]
DiscriminatorKind = Literal["patch", "fc", "flat"]


def seconds_from_text(text: str, *, option: str) -> Fraction:
    """Return the seconds that `12.5`, `30s`, `1:02.5` or `HH:MM:SS.mmm` name, exactly.

    Raises:
        OptionsError: the text is no time, or minutes or seconds are 60 or more.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)s?", text.strip())
    if match is None:
        raise OptionsError(
            f"{option} {text!r}: not a time; write seconds (12.5) or HH:MM:SS (00:01:30)"
        )
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    if (match[2] and seconds >= 60) or (match[1] and minutes >= 60):
        raise OptionsError(f"{option} {text!r}: minutes and seconds must be below 60")
    return hours * 3600 + minutes * 60 + seconds


def text_from_seconds(seconds: Fraction) -> str:
    """Return `HH:MM:SS.mmm`, cut off: what is shown then is the first thing from that time on."""
    minutes, milliseconds = divmod(int(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def rate_from_text(text: str) -> Fraction:
    """Return the frames a second that `25`, `23.976` or `24000/1001` name, exactly.

    Raises:
        OptionsError: the text is no rate, or not between 1/60 and 1000.
    """
    match = re.fullmatch(r"\d+(?:\.\d+)?|\d+/0*[1-9]\d*", text.strip())
    rate = Fraction(text.strip()) if match else Fraction(0)
    _require(
        Fraction(1, 60) <= rate <= 1000,
        f"--rate {text!r}: not a rate; write frames a second, as 25 or 24000/1001",
    )
    return rate


def labels_from_text(text: str) -> tuple[int, ...]:
    """Return the labels that `3,7` lists.

    Raises:
        OptionsError: the text is no list of whole numbers.
    """
    is_list = re.fullmatch(r"\d+(?:,\d+)*", text) is not None
    _require(is_list, f"--pick {text!r}: not a list of labels; write whole numbers, as 3,7")
    return tuple(map(int, text.split(",")))


def _require(is_met: bool, message: str) -> None:
    if not is_met:
        raise OptionsError(message)


def check_span(start: str | None, end: str | None) -> None:
    """Refuse `--start` and `--end` that are no times, or not in order.

    Raises:
        OptionsError: says which.
    """
    begins = seconds_from_text(start, option="--start") if start is not None else Fraction(0)
    if end is not None:
        ends = seconds_from_text(end, option="--end")
        _require(begins < ends, f"--end {end}: not after --start {start or 0}; give a later time")


def _check_temperature(temperature: float) -> None:
    _require(
        0 < temperature <= 1,
        f"--decode-temperature {temperature}: must be above 0 and at most 1",
    )


def _check_stabilize(strength: float) -> None:
    _require(
        0 <= strength <= 1,
        f"--stabilize {strength}: must be between 0 (each frame for itself) and 1",
    )


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """How a colour film becomes training frames."""

    dataset: str
    """Name of the dataset; frames go to DATA/NAME/train and DATA/NAME/test."""
    data: Path = Path("data")
    """Folder that holds the datasets."""
    size: int = 480
    """Short side of a frame, pixels. A smaller film is not enlarged."""
    every: int = 1
    """Keep every n-th frame. Kept frames count as neighbours."""
    start: str | None = None
    """First moment, seconds or HH:MM:SS."""
    end: str | None = None
    """Last moment (not included), seconds or HH:MM:SS."""
    drop_black: float = 5.0
    """Leave out frames without a pixel of this CIE lightness, of 100; 0 keeps all."""
    split: str = "0.88/0.12"
    """Train/test, in film order: numbers of frames (10000/1330) or shares (0.88/0.12)."""
    format: FrameFormat = "jpg"
    """jpg: quality 95 with full chroma; png: lossless, about five times the size."""

    def __post_init__(self) -> None:
        _check_name(self.dataset)
        _require(self.size >= 32, f"--size {self.size}: too small to learn from; use 32 or more")
        _require(self.every >= 1, f"--every {self.every}: must be 1 or more")
        _require(
            0 <= self.drop_black < 100,
            f"--drop-black {self.drop_black}: must be at least 0 (keeps all) and below 100",
        )
        check_span(self.start, self.end)
        split_from_text(self.split)


def _check_name(name: str) -> None:
    _require(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None,
        f"--dataset {name!r}: not a name; use letters, digits, '-', '_' and '.'",
    )


def split_from_text(text: str) -> tuple[int, int] | tuple[float, float]:
    """Return (train, test) of `10000/1330`, as counts, or of `0.88/0.12`, as shares of 1.

    Raises:
        OptionsError: the text is neither, or the shares do not add up to 1.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is not None:
        counts = int(match[1]), int(match[2])
        _require(counts[0] > 0, f"--split {text}: no frame would be left for training")
        return counts
    match = re.fullmatch(r"(\d*\.\d+|1(?:\.0*)?|0)/(\d*\.\d+|1(?:\.0*)?|0)", text)
    if match is None:
        raise OptionsError(f"--split {text!r}: write counts (10000/1330) or shares (0.88/0.12)")
    shares = float(match[1]), float(match[2])
    _require(
        abs(sum(shares) - 1) < 1e-6 and shares[0] > 0,
        f"--split {text}: shares must add up to 1 and leave something to train on",
    )
    return shares


@dataclass(frozen=True, kw_only=True)
class ColorOptions:
    """How a film is read and coloured, whatever becomes of its frames."""

    model: str = "default"
    """Name of a model, or the folder that training wrote."""
    device: Device = "auto"
    """Where the network runs; auto takes CUDA where there is one."""
    engine: Engine = "auto"
    """What runs it; auto takes ONNX Runtime on a CPU, where it is installed, else torch."""
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
        _require(
            self.size is None or 32 <= self.size <= 2160,
            f"--size {self.size}: must be between 32 and 2160; most models like 192 to 320",
        )
        _require(
            not (self.engine == "onnx" and self.device == "cuda"),
            "--engine onnx --device cuda: ONNX Runtime is used on CPUs; leave out one of them",
        )
        _require(
            0 <= self.saturation <= 4,
            f"--saturation {self.saturation}: must be between 0 (grey) and 4",
        )
        for option in ("temperature", "tint"):
            value = getattr(self, option)
            _require(
                -100 <= value <= 100, f"--{option} {value:g}: must be between -100 and 100; try 20"
            )
        _check_stabilize(self.stabilize)
        _check_temperature(self.decode_temperature)
        _require(
            0 <= self.mask_feather <= 200,
            f"--mask-feather {self.mask_feather}: must be between 0 (hard edges) and 200 pixels",
        )
        if self.pick is not None:
            labels_from_text(self.pick)
            _require(self.mask is not None, f"--pick {self.pick}: add --mask with the labels")
        _require(self.max_pixels >= 1, f"--max-pixels {self.max_pixels}: must be 1 or more")
        _require(self.batch is None or self.batch >= 1, f"--batch {self.batch}: must be 1 or more")
        _require(
            self.min_size is None or self.min_size >= 32,
            f"--min-size {self.min_size}: must be 32 or more",
        )
        if self.rate is not None:
            rate_from_text(self.rate)


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
        _require(
            self.workers == "auto" or self.workers >= 1,
            f"--workers {self.workers}: must be 1 or more, or auto",
        )
        _require(
            self.crf is None or 0 <= self.crf <= 63, f"--crf {self.crf}: must be between 0 and 63"
        )
        check_span(self.start, self.end)


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
        _require(
            (self.dataset is None) != (self.clips is None),
            "evaluate: give the truth as either --dataset NAME or --clips FOLDER",
        )
        _require(self.size >= 64, f"--size {self.size}: SSIM needs at least 64 pixels")
        _require(self.max_frames >= 0, f"--max-frames {self.max_frames}: must not be negative")
        _require(
            min(self.frames, default=0) >= 0,
            f"--frames {min(self.frames, default=0)}: frames are counted from 0",
        )
        _require(
            not (self.frames and self.max_frames), "evaluate: give either --frames or --max-frames"
        )
        _check_stabilize(self.stabilize)
        _check_temperature(self.decode_temperature)


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
        _require(self.size >= 32, f"--size {self.size}: must be 32 or more")
        for option in ("batch_size", "epochs", "generator_every", "discriminator_every", "ndf"):
            value = getattr(self, option)
            _require(value >= 1, f"--{option.replace('_', '-')} {value}: must be 1 or more")
        _require(self.ngf >= 8, f"--ngf {self.ngf}: must be 8 or more")
        _require(
            self.max_steps is None or self.max_steps >= 1,
            f"--max-steps {self.max_steps}: must be 1 or more",
        )
        _require(self.lr > 0, f"--lr {self.lr}: must be above 0")
        _require(
            self.discriminator_lr is None or self.discriminator_lr > 0,
            f"--discriminator-lr {self.discriminator_lr}: must be above 0",
        )
        _require(self.clip is None or self.clip > 0, f"--clip {self.clip}: must be above 0")
        _require(
            self.rebalance is None or 0 < self.rebalance <= 1,
            f"--rebalance {self.rebalance}: must be above 0 and at most 1, which weighs all alike",
        )
        for option in (
            "pixel_weight", "adversarial_weight", "perceptual_weight", "temporal_weight",
            "weight_decay", "rarity",
        ):  # fmt: skip
            value = getattr(self, option)
            _require(value >= 0, f"--{option.replace('_', '-')} {value}: must not be negative")
        _require(
            0 <= self.film_look <= 1,
            f"--film-look {self.film_look}: must be between 0 (none) and 1 (a worn print)",
        )
        _require(
            not self.perceptual_weight or self.perceptual_backbone is not None,
            "--perceptual-weight: say which classifier, with --perceptual-backbone FILE",
        )
        _require(
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
        _require(
            0 < self.min < self.max,
            f"--min {self.min} --max {self.max}: must be above 0, and --max above --min",
        )
        _require(self.steps >= 10, f"--steps {self.steps}: too few to see a slope; use 10 or more")
