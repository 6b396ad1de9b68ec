"""The written examples of a classifier recipe: read, checked, and truly held out."""

from __future__ import annotations

from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.data_labelled import DataError, Example, read_examples


def written_examples(recipe: ClassifierRecipe) -> tuple[list[Example], dict[str, list[Example]]]:
    """(examples to train on, `heldout_sets`). Raises DataError, also when a held-out text is trained on."""
    examples = read_examples(recipe.train, recipe.labels, entities=recipe.entities)
    sets = heldout_sets(recipe)
    for path, heldout in zip(recipe.heldout, sets.values(), strict=True):
        if leaked := {example.text for example in examples} & {example.text for example in heldout}:
            raise DataError(f"{path}: {len(leaked)} of its texts are also in the training data.")
    return examples, sets


def heldout_sets(recipe: ClassifierRecipe) -> dict[str, list[Example]]:
    """The written held-out examples, by the name that the card gives each file: `written`, `written, set 2`, …"""
    sets = {}
    for number, path in enumerate(recipe.heldout, 1):
        name = "written" if number == 1 else f"written, set {number}"
        sets[name] = read_examples([path], recipe.labels, entities=recipe.entities)
    return sets
