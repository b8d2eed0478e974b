"""Controls that give the gain of fine-tuning its meaning: the same images without SAM, or with wrong labels."""

from samstudy.controls.gains import control_gains, say_controls
from samstudy.controls.probe import LinearProbe, fit_probe, load_probe, save_probe
from samstudy.controls.shuffled import ShuffledLabels
from samstudy.controls.stage import read, run
from samstudy.controls.unet import UNetModel, UNetRecipe, load_unet, save_unet, train_unet

__all__ = [
    "LinearProbe",
    "ShuffledLabels",
    "UNetModel",
    "UNetRecipe",
    "control_gains",
    "fit_probe",
    "load_probe",
    "load_unet",
    "read",
    "run",
    "save_probe",
    "save_unet",
    "say_controls",
    "train_unet",
]
