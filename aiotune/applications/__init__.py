"""Ready-made hypermodels for images: known architectures whose choices are hyperparameters.

Keras is imported when one of them is built, in a worker, and not before.
"""

from __future__ import annotations

from aiotune.applications._augment import HyperImageAugment
from aiotune.applications._efficientnet import HyperEfficientNet
from aiotune.applications._resnet import HyperResNet
from aiotune.applications._xception import HyperXception

__all__ = ("HyperEfficientNet", "HyperImageAugment", "HyperResNet", "HyperXception")
