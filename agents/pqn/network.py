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
        pairs: Slices, or single images, of which a pair is seen (or a difference): all pass through the same layers.
        shift: Pixels by which both images of a pair are moved, to all four corners, where the network acts: it takes
            the mean of the values, in which the errors of single places average out. 0 for not at all.

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
    pairs: int = 1
    shift: int = 0

    def __post_init__(self) -> None:
        if self.kind not in BODIES:
            raise ValueError(f"network={self.kind!r} is unknown; known: {', '.join(BODIES)}")
        if len(self.shape) != 3 or min(self.shape[1:]) < 36:
            raise ValueError(
                f"observations must be images (channels, height, width) of at least 36 pixels, got {self.shape}; "
                'volumes need observation="slices", and parameters=False'
            )
        if self.kind == "correlation" and self.shape[0] != 2 * self.pairs:
            raise ValueError(
                f"the correlation network needs fixed and moved images, got {self.shape[0]} channels of {self.pairs} "
                "pairs; network='nature' takes differences"
            )


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
        hidden = self.hidden(self.body(observation))
        heads = self.config.heads
        values = self.advantage(hidden).reshape(-1, heads, self.learned)
        if self.value is not None:
            values = values - values.mean(2, keepdim=True) + self.value(hidden).reshape(-1, heads, 1)
        if self.config.stop:
            values = F.pad(values, (0, 1))
        return values.transpose(0, 1)

    def forward(self, observation: Tensor) -> Tensor:
        """Observations ``(B, C, H, W)`` to action values ``(B, actions)``, the mean of heads and shifts."""
        views = _shifted(_numbers(observation), self.config.shift) if self.config.shift else [observation]
        return torch.stack([self.estimates(view).mean(0) for view in views]).mean(0)


class Nature(nn.Module):
    """The CNN of Mnih et al. (Nature 2015), narrow, each convolution normalised over the whole layer.

    The two images of a pair are its channels; pairs of slices share all weights up to the fully connected layer, since
    a pixel of one slice has nothing to do with that of another. GroupNorm with one group is the LayerNorm over channels
    and pixels that PQN asks for. On a CPU it costs 5 % where normalising each pixel's channels costs a third.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        w, self.pairs = config.width, config.pairs
        self.layers = nn.Sequential(
            *_normalised(nn.Conv2d(config.shape[0] // self.pairs, w, 8, 4)),
            *_normalised(nn.Conv2d(w, 2 * w, 4, 2)),
            *_normalised(nn.Conv2d(2 * w, 2 * w, 3)),
            nn.Flatten(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)``, fixed images first, -> ``(B, features)``."""
        apart = images.unflatten(1, (-1, self.pairs)).transpose(1, 2).flatten(0, 1)
        return _joined(self.layers(_values(apart)), self.pairs)


class Correlation(nn.Module):
    """Fixed and moved encoded by one encoder, and correlated: features of one times shifted features of the other.

    A correlation over all offsets of a neighbourhood costs a CPU ten times as much as these layers together. Here a
    convolution of the moved image's features learns which offsets matter (as the multiplicative units of Memisevic,
    IEEE PAMI 2013, do), and its products with the fixed image's are what the rest sees.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        w, self.pairs = config.width, config.pairs
        self.encoder = nn.Sequential(*_normalised(nn.Conv2d(1, w, 8, 4, 2)))
        self.fixed, self.moved = nn.Conv2d(w, 2 * w, 1), nn.Conv2d(w, 2 * w, 3, padding=1)
        self.head = nn.Sequential(
            nn.GroupNorm(1, 2 * w),
            nn.ReLU(),
            *_normalised(nn.Conv2d(2 * w, 2 * w, 4, 2)),
            *_normalised(nn.Conv2d(2 * w, 2 * w, 3)),
            nn.Flatten(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)``, fixed images first, -> ``(B, features)``."""
        features = self.encoder(_values(images.flatten(0, 1).unsqueeze(1)))
        fixed, moved = features.unflatten(0, (-1, 2, self.pairs)).unbind(1)
        products = self.fixed(fixed.flatten(0, 1)) * self.moved(moved.flatten(0, 1))
        return _joined(self.head(products), self.pairs)


BODIES = {"nature": Nature, "correlation": Correlation}


def _normalised(convolution: nn.Conv2d) -> tuple[nn.Module, ...]:
    return convolution, nn.GroupNorm(1, convolution.out_channels), nn.ReLU()


def _numbers(images: Tensor) -> Tensor:
    """Images, uint8 or in [0, 1], as numbers in [0, 1]."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _values(images: Tensor) -> Tensor:
    """Images, uint8 or in [0, 1], as numbers about 0, in the memory order in which a CPU convolves them fastest."""
    return (_numbers(images) - 0.5).contiguous(memory_format=torch.channels_last)


def _shifted(images: Tensor, pixels: int) -> list[Tensor]:
    """Images ``(B, C, H, W)`` moved towards each corner; what comes in repeats the edge."""
    height, width = images.shape[2:]
    wide = F.pad(images, (pixels,) * 4, mode="replicate")
    corners = [(y, x) for y in (0, 2 * pixels) for x in (0, 2 * pixels)]
    return [wide[:, :, y : y + height, x : x + width] for y, x in corners]


def _joined(features: Tensor, pairs: int) -> Tensor:
    """Features ``(B * pairs, F)`` of all pairs to ``(B, pairs * F)``."""
    return features.reshape(-1, pairs * features.shape[1])


def multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions, linear layers and matrix products for one observation."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2
