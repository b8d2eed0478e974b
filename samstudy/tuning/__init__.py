"""Fine-tuning with little data: examples -> losses -> loop -> weights."""

from samstudy.tuning.loop import METHODS, finetune
from samstudy.tuning.recipe import Recipe
from samstudy.tuning.weights import save_tuned

__all__ = ["METHODS", "Recipe", "finetune", "save_tuned"]
