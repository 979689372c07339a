"""The moving average of a network's weights during training, which is what is saved."""

import torch
from torch import Tensor

from vidcolor.network.blocks import plain_state, remove_spectral_norms
from vidcolor.network.generator import Generator


# Not torch.optim.swa_utils.AveragedModel: it averages a network's own parameters, of which those
# under spectral norm are not what it computes with.
class MovingAverage:
    """Averages a generator's weights, step by step (Polyak and Juditsky 1992).

    average = MovingAverage(network, like=generator, decay=0.998)
    average.update(generator)

    Spectral norms are folded in first: divided by another network's singular values, averaged
    weights would be too large, and the colors too saturated. Batch norms' statistics are averaged
    too.
    """

    def __init__(self, network: Generator, *, like: Generator, decay: float) -> None:
        """Start with the weights of a generator.

        Args:
            network: a second network of the same shape, which holds the average.
            like: the generator.
            decay: of the average for each step, after many steps.
        """
        self.network, self.decay, self.updates = network.eval().requires_grad_(False), decay, 0
        remove_spectral_norms(network)
        self.start(like)

    def start(self, generator: Generator) -> None:
        """Start again with the weights of a generator."""
        self.updates = 0
        self.network.load_state_dict(_state(generator))

    @torch.no_grad()
    def update(self, generator: Generator) -> None:
        """Add the weights of another step; early steps have more weight than later ones."""
        self.updates += 1
        # A short training would otherwise end near its start (TensorFlow's `num_updates`).
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        now = _state(generator)
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(now[name], 1 - decay)
            else:
                value.copy_(now[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Return all of it, for a checkpoint."""
        return self.network.state_dict() | {"updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        weights = dict(state)
        self.updates = int(weights.pop("updates"))
        self.network.load_state_dict(weights)


def _state(generator: Generator) -> dict[str, Tensor]:
    """Return plain weights; reading them in training mode would update spectral norms."""
    was_training = generator.training
    generator.eval()
    with torch.no_grad():
        state = plain_state(generator)
    generator.train(was_training)
    return state
