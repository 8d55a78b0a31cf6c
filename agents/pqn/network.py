"""The Q-networks: images in, the values of all actions out. The value of STOP is not learned: it is 0.

STOP ends the episode, gains nothing and costs nothing, so its value is known exactly. The networks give the values of
the other actions, and a 0 stands in STOP's place: an agent stops where it expects no action to gain more than it costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a network.

    Attributes:
        kind: A key of :data:`BODIES`: ``"nature"`` or ``"correlation"``.
        shape: Of an observation: channels, height, width.
        actions: How many.
        stop: Whether the last of them is STOP, whose value is 0.
        width: Channels of the first convolution.
        hidden: Units of the fully connected layer.
        dueling: Values as that of the state and the actions' advantages (Wang et al., ICML 2016).
        heads: Independent estimates; 2 for double targets.

    Raises:
        ValueError: If a value is out of range; the message names it.
    """

    kind: str
    shape: tuple[int, int, int]
    actions: int
    stop: bool
    width: int = 16
    hidden: int = 256
    dueling: bool = True
    heads: int = 1

    def __post_init__(self) -> None:
        if self.kind not in BODIES:
            raise ValueError(f"network={self.kind!r} is unknown; known: {', '.join(BODIES)}")
        if len(self.shape) != 3 or min(self.shape[1:]) < 36:
            raise ValueError(
                f"observations must be images (channels, height, width) of at least 36 pixels, got {self.shape}; "
                'volumes need observation="slices", and parameters=False'
            )
        if self.kind == "correlation" and self.shape[0] % 2:
            raise ValueError(f"the correlation network needs fixed and moved images, got {self.shape[0]} channels")


class QNetwork(nn.Module):
    """Action values of image observations.

    Args:
        config: Its sizes.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.body = BODIES[config.kind](config)
        with torch.no_grad():
            features = self.body(torch.zeros(1, *config.shape)).shape[1]
        self.hidden = nn.Sequential(nn.Linear(features, config.hidden), nn.LayerNorm(config.hidden), nn.ReLU())
        self.learned = config.actions - int(config.stop)
        self.advantage = nn.Linear(config.hidden, config.heads * self.learned)
        self.value = nn.Linear(config.hidden, config.heads) if config.dueling else None

    def estimates(self, observation: Tensor) -> Tensor:
        """Observations ``(B, C, H, W)``, uint8 or in [0, 1], to the estimates of all heads ``(heads, B, actions)``."""
        images = observation.float() / 255 if observation.dtype == torch.uint8 else observation
        hidden = self.hidden(self.body(images))
        heads = self.config.heads
        values = self.advantage(hidden).reshape(-1, heads, self.learned)
        if self.value is not None:
            values = values - values.mean(2, keepdim=True) + self.value(hidden).reshape(-1, heads, 1)
        if self.config.stop:
            values = F.pad(values, (0, 1))
        return values.transpose(0, 1)

    def forward(self, observation: Tensor) -> Tensor:
        """Observations ``(B, C, H, W)`` to action values ``(B, actions)``, the mean of the heads."""
        return self.estimates(observation).mean(0)


class Nature(nn.Module):
    """The CNN of Mnih et al. (Nature 2015), narrow, each convolution normalised over the whole layer.

    GroupNorm with one group is the LayerNorm over channels and pixels that PQN asks for. On a CPU it costs 5 % where
    normalising each pixel's channels costs a third.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        w = config.width
        self.layers = nn.Sequential(
            *_normalised(nn.Conv2d(config.shape[0], w, 8, 4)),
            *_normalised(nn.Conv2d(w, 2 * w, 4, 2)),
            *_normalised(nn.Conv2d(2 * w, 2 * w, 3)),
            nn.Flatten(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)`` in [0, 1] -> ``(B, features)``."""
        return self.layers(images - 0.5)


class Correlation(nn.Module):
    """Fixed and moved encoded apart by one encoder, their features correlated over offsets, and a small head.

    The pairs of slices of an observation share all weights up to the fully connected layer.
    """

    CELLS = 16
    REACH = 3

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        w, stride = config.width, max(2, round(config.shape[1] / self.CELLS))
        self.encoder = nn.Sequential(
            *_normalised(nn.Conv2d(1, w, 2 * stride, stride, stride // 2)), nn.Conv2d(w, w, 3, padding=1)
        )
        offsets = (2 * self.REACH + 1) ** 2
        self.head = nn.Sequential(
            *_normalised(nn.Conv2d(offsets + 2 * w, 2 * w, 1)),
            *_normalised(nn.Conv2d(2 * w, 2 * w, 3, 2, 1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)`` in [0, 1], fixed images first, -> ``(B, features)``."""
        size, channels, height, width = images.shape
        pairs = channels // 2
        features = self.encoder(images.reshape(-1, 1, height, width) - 0.5)
        features = features * torch.rsqrt(features.pow(2).sum(1, keepdim=True) + 1e-6)
        fixed, moved = features.reshape(-1, 2, pairs, *features.shape[1:]).unbind(1)
        fixed, moved = fixed.flatten(0, 1), moved.flatten(0, 1)
        matched = self.head(torch.cat([correlate(fixed, moved, self.REACH), fixed, moved], 1))
        return matched.reshape(size, -1)


BODIES = {"nature": Nature, "correlation": Correlation}


def _normalised(convolution: nn.Conv2d) -> tuple[nn.Module, ...]:
    return convolution, nn.GroupNorm(1, convolution.out_channels), nn.ReLU()


def correlate(fixed: Tensor, moved: Tensor, reach: int) -> Tensor:
    """Products of the features of each cell with those of the cells about it.

    For each row of cells, one matrix product with a row of the other image gives all pairs of columns; those within
    reach are a band along its diagonal. That is faster on a CPU than one product of whole images for each offset.

    Args:
        fixed: ``(B, C, H, W)``.
        moved: The same.
        reach: Largest offset.

    Returns:
        ``(B, (2 reach + 1)^2, H, W)``: channel ``(dy + reach) * (2 reach + 1) + dx + reach`` holds the products of
        ``fixed[y, x]`` with ``moved[y + dy, x + dx]``; 0 outside.
    """
    height, width = fixed.shape[2:]
    span = 2 * reach + 1
    rows, around = fixed.permute(0, 2, 3, 1), F.pad(moved, (reach,) * 4).permute(0, 2, 1, 3)
    bands = []
    for dy in range(span):
        products = rows @ around[:, dy : dy + height]  # (B, H, W, W + 2 reach)
        # Read with rows that are one longer, so that the diagonal becomes a column.
        longer = F.pad(products.flatten(2), (0, width)).reshape(-1, height, width, width + span)
        bands.append(longer[..., :span])
    return torch.cat(bands, 3).permute(0, 3, 1, 2)


def multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions, linear layers and matrix products for one observation."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2
