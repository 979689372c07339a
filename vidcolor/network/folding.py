"""Batch norms multiplied into the convolutions before them, for rendering."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_norms(network: nn.Module) -> None:
    """Multiply each batch norm into the convolution before it, in place.

    With a norm's gain g, bias b, mean m and variance v, a convolution's weights become
    w * g / sqrt(v + eps), its bias b - m * g / sqrt(v + eps): Ioffe and Szegedy 2015,
    algorithm 2, step 11. Rounding apart, evaluation computes the same; not to be trained.

    Args:
        network: in evaluation mode, its spectral norms removed.
    """
    for part in list(network.modules()):
        if isinstance(part, nn.Sequential):
            for (first, convolution), (second, norm) in pairwise(list(part.named_children())):
                if isinstance(norm, nn.BatchNorm2d) and isinstance(
                    convolution, nn.Conv2d | nn.ConvTranspose2d
                ):
                    is_transposed = isinstance(convolution, nn.ConvTranspose2d)
                    fused = fuse_conv_bn_eval(convolution, norm, transpose=is_transposed)
                    setattr(part, first, fused)
                    setattr(part, second, nn.Identity())
