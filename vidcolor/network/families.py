"""The networks that there are, by the names that cards have for them."""

from vidcolor.network.architectures import (
    ab_classifier,
    ddcolor,
    efficient_unet,
    fullres_gan,
    fully_connected,
    fusion_unet,
    masked_unet,
    residual_encoder,
    squeeze_unet,
    temporal_unet,
)
from vidcolor.network.family import Architecture, Family
from vidcolor.options.train import FamilyName

FAMILIES: dict[FamilyName, Family] = {
    "temporal-unet": temporal_unet.FAMILY,
    "squeeze-unet": squeeze_unet.FAMILY,
    "efficient-unet": efficient_unet.FAMILY,
    "fusion-unet": fusion_unet.FAMILY,
    "masked-unet": masked_unet.FAMILY,
    "fullres-gan": fullres_gan.FAMILY,
    "ab-classifier": ab_classifier.FAMILY,
    "residual-encoder": residual_encoder.FAMILY,
    "fully-connected": fully_connected.FAMILY,
}
"""Every family of networks. A new one is a line here, and its name in `vidcolor.options.train`."""

ARCHITECTURES: dict[str, Architecture] = {"ddcolor": ddcolor.ARCHITECTURE}
"""Networks of others, whose published weights are rendered with and not trained here."""
