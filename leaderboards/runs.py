"""Finds lm-eval's runs at any depth: ``results_<date>.json`` and the ``samples_<task>_<date>.jsonl`` of its date."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .identity import Variant, told_apart, variant_from_arguments, variant_from_file
from .untrusted import read_json_object

DATE = r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(?:\.\d+)?"
RESULTS_FILE = re.compile(rf".+_(?P<date>{DATE})\.json")
SAMPLES_FILE = re.compile(rf"samples_(?P<task>.+)_(?P<date>{DATE})\.jsonl")
LARGEST = 1 << 53  # integers up to here are exact as floats; a file may hold any number
LOG_SAMPLES = "run lm_eval with --log_samples, which writes one samples_<task>_<date>.jsonl a task beside the results"

# What is kept of a results file; the rest (environment, tokenizer, ...) is not needed to judge.
FACTS = (
    *("results", "configs", "n-samples", "n-shot", "versions", "config", "model_name", "lm_eval_version", "git_hash"),
    *("chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn", "task_hashes"),
)


@dataclass(frozen=True)
class Run:
    """One lm-eval run of one variant.

    Attributes:
        results_file: the ``results_<date>.json``.
        date: lm-eval's date of the files, which orders runs.
        samples: task to its samples file.
        variant: who answered.
        name: what the run is called on the board.
        facts: the entries ``FACTS`` of the results file.
    """

    results_file: Path
    date: str
    samples: Mapping[str, Path]
    variant: Variant
    name: str
    facts: Mapping[str, Any] = field(repr=False)

    def task_config(self, task: str) -> Mapping[str, Any]:
        """The task's configuration as lm-eval logged it."""
        return _mapping(_mapping(self.facts.get("configs")).get(task))

    def fair(self, task: str) -> Mapping[str, Any]:
        """What the task says about its own axes and positive choice; empty for a foreign task."""
        return _mapping(_mapping(self.task_config(task).get("metadata")).get("fair"))

    def min_group(self, task: str) -> int | None:
        """The smallest group that the run itself judged with, where it says so."""
        metadata = _mapping(self.task_config(task).get("metadata"))
        value = metadata.get("min_group", _mapping(self.fair(task).get("data")).get("min_group"))
        return value if type(value) is int and 1 <= value <= LARGEST else None

    def reported(self, task: str) -> Mapping[str, Any]:
        """lm-eval's own numbers of the task: ``"acc,none"`` and the like."""
        return _mapping(_mapping(self.facts.get("results")).get(task))

    def answered(self, task: str) -> int | None:
        """How many documents lm-eval judged (the longest of its metrics), where it says so."""
        value = self.reported(task).get("sample_len")
        return value if type(value) is int else None

    def limited(self, task: str, read: int) -> bool:
        """Whether the run answered only some of the task's documents (``--limit``, ``--samples``).

        Where lm-eval does not say how many it judged (:meth:`answered`), its count of documents knows no ``--samples``:
        then the answers that were read count, too.
        """
        sizes = _mapping(_mapping(self.facts.get("n-samples")).get(task))
        original, effective = sizes.get("original"), sizes.get("effective")
        if not isinstance(original, int) or not isinstance(effective, int):
            return False
        return effective < original or (self.answered(task) is None and read < effective)

    def shots(self, task: str) -> int | None:
        """Few-shot examples in the prompt."""
        value = _mapping(self.facts.get("n-shot")).get(task)
        return value if type(value) is int and 0 <= value <= LARGEST else None


def find_runs(
    paths: Sequence[str | Path], names: Mapping[str, str] | None = None
) -> tuple[tuple[Run, ...], tuple[str, ...]]:
    """Find all runs under the given paths.

    Args:
        paths: folders, searched at any depth (links to folders are not followed), or results files.
        names: a run (its folder, its results file, the name it would get, or its identity) to the name it shall get.

    Returns:
        The runs, each once, in order of name and date, and notes on what was left out.

    Raises:
        GroupgapError: if a path does not exist, holds no run, or holds results without their samples; if all paths hold
            runs of an attack alone; if a chosen name stands for two variants that ``names`` does not tell apart; if an
            entry of ``names`` fits no run.
    """
    if not paths:
        raise GroupgapError("no run given: name at least one lm-eval output folder")
    found: dict[Path, Run] = {}
    notes: list[str] = []
    for path in map(Path, paths):
        runs, said = _runs_under(path)
        found.update({run.results_file: run for run in runs})
        notes += [note for note in said if note not in notes]
    if not found:
        raise GroupgapError("; ".join(notes))
    runs = _renamed(_named(list(found.values())), names or {})
    return tuple(sorted(runs, key=lambda run: (run.name, run.date, str(run.results_file)))), tuple(notes)


def _runs_under(path: Path) -> tuple[list[Run], list[str]]:
    if not path.exists():
        raise GroupgapError(f"no such run folder: {path}")
    runs: list[Run] = []
    notes: list[str] = []
    folders = [path.parent] if path.is_file() else _folders(path, notes)
    audits = 0
    seen_samples = False
    for folder in folders:
        results, samples = _files(folder, only=path if path.is_file() else None)
        seen_samples = seen_samples or bool(samples)
        _check_dates(folder, results, samples, orphans_matter=path.is_dir())
        for date, file in sorted(results.items()):
            if date in samples:
                run = _read_run(file, date, samples[date])
                audits += run.variant.audit
                runs += [] if run.variant.audit else [run]
            else:
                notes.append(f"{file}: left out, it has no samples; {LOG_SAMPLES}")
    if audits:
        notes.append(
            f"{path}: {audits} {'run' if audits == 1 else 'runs'} of an attack left out: they ask the rows that models "
            "were trained on, so they judge nothing (variant.json has audit: true)"
        )
    if not runs and audits:
        return [], notes
    if not runs and any(note.endswith(LOG_SAMPLES) for note in notes):
        raise GroupgapError(f"{path}: results without samples_*.jsonl: {LOG_SAMPLES}")
    if not runs:
        said = f" ({'; '.join(notes)})" if notes else ""
        raise GroupgapError(
            f"{path}: no results_<date>.json under it: expected the folder that lm_eval wrote with -o (--output_path)"
            f"{said}"
        )
    return runs, notes


def _folders(path: Path, notes: list[str]) -> list[Path]:
    """The folder and all below it; links to folders, which may lead anywhere, and what cannot be read are noted."""
    folders = []

    def unreadable(error: OSError) -> None:
        notes.append(f"{error.filename}: left out, it cannot be read ({error.strerror})")

    for folder, below, _ in os.walk(path, onerror=unreadable):
        below[:] = sorted(name for name in below if not name.startswith("."))
        links = [link for link in (Path(folder, name) for name in below) if link.is_symlink()]
        notes += [f"{link}: a link to a folder, not followed: name that folder to add it" for link in links]
        if os.access(folder, os.X_OK):
            folders.append(Path(folder))
        else:
            notes.append(f"{folder}: left out, what is in it cannot be read")
    return folders


def _files(folder: Path, only: Path | None) -> tuple[dict[str, Path], dict[str, dict[str, Path]]]:
    """Results by date, and samples by date and task."""
    results: dict[str, Path] = {}
    samples: dict[str, dict[str, Path]] = {}
    for file in sorted(entry for entry in folder.iterdir() if entry.is_file()):
        if match := SAMPLES_FILE.fullmatch(file.name):
            samples.setdefault(match["date"], {})[match["task"]] = file
        elif (match := RESULTS_FILE.fullmatch(file.name)) and (only is None or only.name == file.name):
            results[match["date"]] = file
    if only is not None and not results:
        raise GroupgapError(f"{only}: expected lm-eval's results_<date>.json, or the folder that holds it")
    return results, samples


def _check_dates(
    folder: Path, results: Mapping[str, Path], samples: Mapping[str, object], orphans_matter: bool
) -> None:
    orphans = sorted(set(samples) - set(results))
    if not orphans or not (orphans_matter or set(results) - set(samples)):
        return
    have = f"results of {', '.join(sorted(results))}" if results else "no results file"
    raise GroupgapError(
        f"{folder}: results and samples are of different dates: samples of {', '.join(orphans)}, but {have}; "
        "a run's files share one date, so fetch the missing results_<date>.json or remove the samples"
    )


def _read_run(file: Path, date: str, samples: Mapping[str, Path]) -> Run:
    content = read_json_object(file)
    if not all(isinstance(content.get(key), dict) for key in ("results", "configs", "config")):
        raise GroupgapError(f"{file}: not a results file of lm-eval: it lacks 'results', 'configs' or 'config'")
    missing = sorted(set(content["configs"]) - set(samples))
    unknown = sorted(set(samples) - set(content["configs"]))
    if missing or unknown:
        words = [f"no samples of {', '.join(missing)}"] * bool(missing) + [
            f"no results of {', '.join(unknown)}"
        ] * bool(unknown)
        raise GroupgapError(
            f"{file}: tasks and samples of {date} do not fit: {'; '.join(words)}; copy the run's folder whole"
        )
    variant = _variant_of(file, content)
    return Run(file.resolve(), date, dict(samples), variant, variant.name, {key: content.get(key) for key in FACTS})


def _variant_of(file: Path, content: Mapping[str, Any]) -> Variant:
    for folder in (file.parent, file.parent.parent):
        described = (folder / "variant.json").is_file()
        if described and (folder == file.parent or _holds_one_folder_of_runs(folder)):
            return variant_from_file(read_json_object(folder / "variant.json"), _by_arguments(content).name)
    return _by_arguments(content)


def _by_arguments(content: Mapping[str, Any]) -> Variant:
    config, name = content["config"], content.get("model_name")
    return variant_from_arguments(
        str(config.get("model", "")), config.get("model_args"), name if isinstance(name, str) else None
    )


def _holds_one_folder_of_runs(folder: Path) -> bool:
    """Whether the folder was handed to one lm-eval, which adds a level of its own: it has no run beside it.

    A run below the folder of another run, or beside a second one, is not what the folder's ``variant.json`` is about.
    """
    below = [entry for entry in folder.iterdir() if entry.is_dir() and _has_results(entry)]
    return len(below) == 1 and not _has_results(folder)


def _has_results(folder: Path) -> bool:
    return any(RESULTS_FILE.fullmatch(entry.name) and entry.is_file() for entry in folder.iterdir())


def _named(runs: list[Run]) -> list[Run]:
    variants = {run.variant.identity: run.variant for run in runs}
    names = dict(zip(variants, told_apart(list(variants.values())), strict=True))
    return [replace(run, name=names[run.variant.identity]) for run in runs]


def _renamed(runs: list[Run], names: Mapping[str, str]) -> list[Run]:
    """The runs with the names that they are given; the others keep theirs.

    Raises:
        GroupgapError: for an entry of ``names`` that fits no run, or several variants; and where two variants have one
            chosen name after all.
    """
    given: dict[Path, str] = {}
    for wanted, name in names.items():
        if not name.strip():
            raise GroupgapError(f"--name {wanted}=: expected RUN=NAME with a name that is not empty")
        fitting = [run for run in runs if is_called(run, wanted)]
        if not fitting:
            known = ", ".join(sorted({repr(run.name) for run in runs}))
            raise GroupgapError(
                f"--name {wanted}={name}: no such run; RUN is a run's folder, its results file or its name: {known}"
            )
        if len({run.variant.identity for run in fitting}) > 1:
            raise GroupgapError(
                f"--name {wanted}={name}: {wanted} holds several variants; name one of their folders or results files"
            )
        given.update({run.results_file: name for run in fitting})
    own = _own_names([run for run in runs if run.results_file not in given], runs)
    renamed = [
        replace(run, name=given.get(run.results_file) or own.get(run.variant.identity, run.name)) for run in runs
    ]
    _check_chosen(renamed, given)
    return renamed


def _own_names(unnamed: Sequence[Run], runs: Sequence[Run]) -> dict[str, str]:
    """Names of variants that were given none: one of a chosen name has it, once its namesakes have another."""
    variants = {run.variant.identity: run.variant for run in runs}
    staying = {run.variant.identity for run in unnamed}
    chosen = Counter((one.name, one.seed) for one in variants.values() if one.chosen)
    kept = [
        one
        for one in variants.values()
        if one.identity in staying or not (one.chosen and chosen[one.name, one.seed] > 1)
    ]
    return dict(zip((one.identity for one in kept), told_apart(kept), strict=True))


def _check_chosen(runs: Iterable[Run], given: Mapping[Path, str]) -> None:
    """Refuse two variants of one chosen name, as far as they were not given other names."""
    first: dict[tuple[str, str, int | None], Variant] = {}
    for run in runs:
        variant = run.variant
        if not variant.chosen:
            continue
        called = given.get(run.results_file, variant.name)
        other = first.setdefault((called, variant.name, variant.seed), variant)
        if other.identity == variant.identity:
            continue
        keys = sorted(set(variant.details) | set(other.details))
        differing = [key for key in keys if variant.details.get(key) != other.details.get(key)]
        raise GroupgapError(
            f"two variant.json files have the name {variant.name!r} but differ in {', '.join(differing)}: "
            "give each its own name, in variant.json or by --name RUN=NAME"
        )


def is_called(run: Run, wanted: str) -> bool:
    """Whether ``wanted`` is the run's name, its identity, its results file, or a folder above it."""
    if wanted in (run.name, run.variant.identity):
        return True
    path = Path(wanted)
    return path.exists() and (path.resolve() == run.results_file or path.resolve() in run.results_file.parents)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
