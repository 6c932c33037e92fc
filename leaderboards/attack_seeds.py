"""Attacks on several trainings of one recipe: what holds over seeds, not only for one set of weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ..metrics import AttackPower, Estimate, SeedDifference, mean_over_seeds, paired_over_seeds

if TYPE_CHECKING:
    from .attack_report import Attacked

Key = tuple[str, str] | None  # axis and group; None: all examples
LEAST, LONGEST_NAME = 2, 200


@dataclass(frozen=True, eq=False)
class Trainings:
    """One attack on all seeds of one recipe.

    Attributes:
        name: what the recipe calls the method.
        attack: ``loss`` or ``lira``.
        reading: of it; the same for all seeds.
        seeds: of the trainings, in order.
        targets: their names.
        auc: (axis, group) to the mean AUC with its t interval over trainings.
        of_seed: (axis, group) to the AUC of each seed, None where it is undefined.
        examples: (axis, group) to how many rows were audited.
        rows: their ids, and which are members.
    """

    name: str
    attack: str
    reading: str
    seeds: tuple[int, ...]
    targets: tuple[str, ...]
    auc: dict[Key, Estimate]
    of_seed: dict[Key, tuple[float | None, ...]]
    examples: dict[Key, int]
    rows: tuple[tuple[str, ...], bytes]


@dataclass(frozen=True)
class TrainingsAgainst:
    """Recipe A against recipe B, seed by seed.

    Attributes:
        a: name of A.
        b: name of B.
        attack: ``loss`` or ``lira``.
        key: axis and group; None for all examples.
        seeds: that both were trained with.
        difference: of the AUC, A minus B; a paired t test over these seeds.
        q_value: over all p-values of the report.
    """

    a: str
    b: str
    attack: str
    key: Key
    seeds: tuple[int, ...]
    difference: SeedDifference
    q_value: float | None = None


def fold_attacks(
    attacked: Sequence[Attacked], powers: Sequence[dict[Key, AttackPower]]
) -> tuple[tuple[Trainings, ...], list[str]]:
    """The attacks, those on seeds of one recipe together; a recipe with one seed is left out.

    Args:
        attacked: attacks on targets. Which recipe one was trained by, and with which seed, is known of those that
            ``groupgap attack`` asked itself.
        powers: for each of them what it achieves, by axis and group.

    Returns:
        Them, and notes on seeds that stay apart. Recipes of one name have their targets behind it.
    """
    together: dict[tuple[Hashable, ...], list[int]] = {}
    for place, one in enumerate(attacked):
        seed, training = one.audit.facts.get("seed"), _training(one)
        if one.scores is not None and training.get("recipe") and isinstance(seed, int):
            recipe = str(training["recipe"]), str(training.get("shadows"))
            together.setdefault((*recipe, one.attack, one.reading, _rows(one)), []).append(place)
    found, notes = [], []
    for places in together.values():
        places.sort(key=lambda place: int(attacked[place].audit.facts["seed"]))
        seeds = tuple(int(attacked[place].audit.facts["seed"]) for place in places)
        if len(set(seeds)) < len(seeds):
            names = ", ".join(attacked[place].audit.target for place in places)
            notes.append(f"{names}: seeds of one recipe, not judged over trainings: a seed stands twice")
        elif len(seeds) >= LEAST:
            found.append(_folded([attacked[place] for place in places], [powers[place] for place in places], seeds))
    recipes = {one.name: {other.targets for other in found if other.name == one.name} for one in found}
    named = [
        replace(one, name=f"{one.name} ({', '.join(one.targets)})") if len(recipes[one.name]) > 1 else one
        for one in found
    ]
    return tuple(named), notes


def _rows(one: Attacked) -> tuple[tuple[str, ...], bytes]:
    """What was audited: only seeds that were asked about the same rows belong together."""
    return one.audit.examples, one.audit.member.tobytes()


def _training(one: Attacked) -> Mapping[str, Any]:
    told = one.audit.facts.get("training")
    return told if isinstance(told, Mapping) else {}


def _folded(group: Sequence[Attacked], powers: Sequence[dict[Key, AttackPower]], seeds: tuple[int, ...]) -> Trainings:
    first = group[0]
    keys = [key for key in powers[0] if all(key in of_target for of_target in powers)]
    of_seed = {key: tuple(of_target[key].auc.value for of_target in powers) for key in keys}
    examples = {key: powers[0][key].members + powers[0][key].nonmembers for key in keys}
    auc = {
        key: powers[0][key].auc
        if all(value is None for value in values)
        else mean_over_seeds(values, examples[key], share=True)
        for key, values in of_seed.items()
    }
    names = tuple(one.audit.target for one in group)
    name = str(_training(first).get("name") or names[0])[:LONGEST_NAME]
    return Trainings(name, first.attack, first.reading, seeds, names, auc, of_seed, examples, _rows(first))


def against_each_other(found: Sequence[Trainings]) -> Iterator[TrainingsAgainst]:
    """Every pair of recipes by the same attack, over the seeds that both have; fewer than two are no test."""
    for a, b in combinations(found, 2):
        common = tuple(seed for seed in a.seeds if seed in b.seeds)
        if (a.attack, a.reading, a.rows) != (b.attack, b.reading, b.rows) or len(common) < LEAST:
            continue
        for key in a.of_seed:
            sides = [
                [one.of_seed[key][one.seeds.index(seed)] for seed in common] for one in (a, b) if key in one.of_seed
            ]
            values = [[value for value in side if value is not None] for side in sides]
            if len(sides) == 2 and all(len(side) == len(common) for side in values):
                difference = paired_over_seeds(values[0], values[1], a.examples[key], "AUC")
                yield TrainingsAgainst(a.name, b.name, a.attack, key, common, difference)
