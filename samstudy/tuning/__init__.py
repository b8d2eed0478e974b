"""Fine-tuning with little data: examples -> parts -> losses -> loop -> weights."""

from samstudy.tuning.loop import finetune
from samstudy.tuning.losses import LOSSES
from samstudy.tuning.parts import METHODS
from samstudy.tuning.recipe import Recipe
from samstudy.tuning.weights import save_tuned

__all__ = ["LOSSES", "METHODS", "Recipe", "finetune", "save_tuned"]
