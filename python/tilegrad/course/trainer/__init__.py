"""The tiny shared trainer: what a recipe is, and the loop, run folder, progress and pictures every recipe gets."""

from .measures import accuracy, mean_loss, predict, r2_score, smooth, standardise
from .recipe import Check, Options, Recipe, RecipeError, option, preset
from .train import Result, train

__all__ = [
    "Check",
    "Options",
    "Recipe",
    "RecipeError",
    "Result",
    "accuracy",
    "mean_loss",
    "option",
    "predict",
    "preset",
    "r2_score",
    "smooth",
    "standardise",
    "train",
]
