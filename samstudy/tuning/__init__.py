"""Fine-tuning with little data: examples -> parts -> losses -> loop -> weights."""

from samstudy.tuning.choice import Choice, choose_recipe
from samstudy.tuning.loop import finetune
from samstudy.tuning.losses import LOSSES
from samstudy.tuning.parts import METHODS
from samstudy.tuning.recipe import Recipe
from samstudy.tuning.weights import save_tuned

__all__ = ["LOSSES", "METHODS", "Choice", "Recipe", "choose_recipe", "finetune", "save_tuned"]
