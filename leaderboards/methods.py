"""What is compared: single variants, or methods, where runs are training seeds of the same recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import GroupgapError
from .collection import Collection, Entry
from .runs import is_called
from .seeds import by_recipe, names_of, recipes_of


@dataclass(frozen=True)
class Method:
    """A variant, or all training seeds of one.

    Attributes:
        name: the variant's, or what the seeds' names begin with.
        entries: all that was read of it, of every task and seed.
    """

    name: str
    entries: tuple[Entry, ...]

    def of_task(self, task: str) -> list[Entry]:
        """Its answers to one task, in order of their seeds."""
        return sorted(
            (entry for entry in self.entries if entry.task == task), key=lambda entry: entry.run.variant.seed or 0
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it answered."""
        return tuple(dict.fromkeys(entry.task for entry in self.entries))

    def is_called(self, wanted: str) -> bool:
        """Whether ``wanted`` is its name, or the name, identity or folder of one of its runs."""
        return wanted == self.name or any(is_called(entry.run, wanted) for entry in self.entries)


@dataclass(frozen=True)
class Shared:
    """The training seeds that two methods have in common on one task.

    Attributes:
        seeds: in ascending order.
        a: the runs of A, one for each seed; the same one each time for a variant without a seed.
        b: those of B.
        only_a: seeds of A that B does not have.
        only_b: seeds of B that A does not have.
    """

    seeds: tuple[int, ...]
    a: tuple[Entry, ...]
    b: tuple[Entry, ...]
    only_a: tuple[int, ...] = ()
    only_b: tuple[int, ...] = ()


def methods_of(collection: Collection) -> tuple[Method, ...]:
    """The methods whose runs were read; where all are seeds of one recipe, each run by itself.

    Raises:
        GroupgapError: if one recipe has the same seed twice.
    """
    runs = {entry.run.name: entry for entry in reversed(collection.entries)}
    recipes = recipes_of(runs.values())
    folded = [[entry] for entry in runs.values()]
    if len(recipes) > 1:
        for entries in recipes:
            _check_seed_once(entries)
        folded = by_recipe(runs.values())
    found = []
    for name, entries in zip(names_of(folded), folded, strict=True):
        members = [entry.run.name for entry in entries]
        found.append(Method(name, tuple(entry for entry in collection.entries if entry.run.name in members)))
    return tuple(sorted(found, key=lambda method: method.name))


def _check_seed_once(entries: Sequence[Entry]) -> None:
    first: dict[int | None, str] = {}
    for entry in sorted(entries, key=lambda one: one.run.name):
        seed = entry.run.variant.seed
        earlier = first.setdefault(seed, entry.run.name)
        if earlier != entry.run.name:
            raise GroupgapError(
                f"seed {seed} twice: by their variant.json {earlier} and {entry.run.name} are one recipe with the same "
                "seed: leave one out, or compare those two alone"
            )


def pairs(methods: Sequence[Method], order: Sequence[str], baseline: str | None) -> Iterator[tuple[Method, Method]]:
    """Which method is compared with which.

    Args:
        methods: from :func:`methods_of`.
        order: the runs as they were given: the first is A, the second is B.
        baseline: the run or method that all others are compared with; needed for more than two.

    Raises:
        GroupgapError: for fewer than two, more than two without a baseline, or a baseline that is none of them.
    """
    wanted = [method for name in order for method in methods if method.is_called(name)]
    found = list({method.name: method for method in wanted}.values())
    names = [method.name for method in found]
    if len(found) < 2:
        raise GroupgapError(
            f"one variant only, {', '.join(names) or 'none'}: expected two runs or more; "
            "where two runs have one name, tell them apart by --name RUN=NAME"
        )
    if baseline is None and len(found) > 2:
        raise GroupgapError(
            f"{len(names)} variants ({', '.join(names)}): say which one the others are compared with, by --baseline RUN"
        )
    other = found[1] if baseline is None else _baseline(methods, baseline)
    yield from ((method, other) for method in found if method.name != other.name)


def _baseline(methods: Sequence[Method], wanted: str) -> Method:
    fitting = [method for method in methods if method.is_called(wanted)]
    if len(fitting) != 1:
        found = "no such run" if not fitting else f"{len(fitting)} variants"
        names = ", ".join(method.name for method in methods)
        raise GroupgapError(f"--baseline {wanted}: {found}; expected one of {names}, or a run's folder")
    return fitting[0]


def shared_seeds(one: Method, other: Method, task: str) -> Shared:
    """The seeds on which two methods can be compared.

    Raises:
        GroupgapError: if both have seeds, one has several, and none is the same.
    """
    a, b = one.of_task(task), other.of_task(task)
    if len(a) == len(b) == 1:
        seeds = a[0].run.variant.seed, b[0].run.variant.seed
        return Shared(_known(a) if seeds[0] == seeds[1] else (), tuple(a), tuple(b))
    if len(a) == 1 and a[0].run.variant.seed is None:
        return Shared(_known(b), tuple(a * len(b)), tuple(b))
    if len(b) == 1 and b[0].run.variant.seed is None:
        return Shared(_known(a), tuple(a), tuple(b * len(a)))
    of_a, of_b = ({entry.run.variant.seed or 0: entry for entry in entries} for entries in (a, b))
    common = sorted(set(of_a) & set(of_b))
    if not common:
        raise GroupgapError(
            f"task {task}: {one.name} (seeds {_listed(of_a)}) and {other.name} (seeds {_listed(of_b)}) have no "
            "training seed in common: give runs with the same seeds, or one run of each"
        )
    return Shared(
        tuple(common),
        tuple(of_a[seed] for seed in common),
        tuple(of_b[seed] for seed in common),
        tuple(sorted(set(of_a) - set(of_b))),
        tuple(sorted(set(of_b) - set(of_a))),
    )


def _known(entries: Sequence[Entry]) -> tuple[int, ...]:
    return tuple(seed for entry in entries if (seed := entry.run.variant.seed) is not None)


def _listed(seeds: dict[int, Entry]) -> str:
    return ", ".join(map(str, sorted(seeds)))
