"""The fleet: an engine for each base, one after the other, every variant proven live and asked, nothing asked twice."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from ..errors import GroupgapError
from .fleet_plan import Job, Plan, alone
from .fleet_tasks import Question
from .fleet_worker import open_questions

RUNS, LOGS, LOCK = "runs", "logs", ".groupgap-run.lock"
START_LIMIT = 900.0
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TOKENIZERS_PARALLELISM": "false"}
Say = Callable[[str], None]


@dataclass
class Summary:
    """What a run of the fleet did.

    Attributes:
        answered: (variant, task) pairs asked now.
        kept: pairs that were answered before.
        failed: variant to the reason.
        seconds: duration.
    """

    answered: list[tuple[str, str]] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Fleet:
    """How the jobs of a plan are run.

    Attributes:
        out: the output folder; runs go into ``runs/``, logs into ``logs/``.
        questions: the tasks.
        command: for the record.
        say: called with one line of progress at a time.
        start_limit: seconds an engine may take to start.
    """

    out: Path
    questions: tuple[Question, ...]
    command: str
    say: Say
    start_limit: float = START_LIMIT

    def run(self, plan: Plan) -> Summary:
        """Work off a plan.

        Raises:
            GroupgapError: another run is writing into the same folder.
        """
        started = time.monotonic()
        summary = Summary(failed=dict(plan.refused))
        root = self.out / RUNS
        root.mkdir(parents=True, exist_ok=True)
        with _locked(self.out) as lock:
            waiting = [(job, self._pairs(job, root, summary)) for job in plan.jobs]
            clock = _Clock(sum(len(pairs) for _, pairs in waiting))
            for job, pairs in waiting:
                again = self._work_off(job, pairs, lock, clock, summary) if pairs else []
                for own in again:
                    self._work_off(
                        own, {pair for pair in pairs if pair[0] == own.members[0].name}, lock, clock, summary
                    )
        summary.seconds = time.monotonic() - started
        return summary

    def _pairs(self, job: Job, root: Path, summary: Summary) -> set[tuple[str, str]]:
        """What is still to be asked; what is answered already is noted."""
        left: set[tuple[str, str]] = set()
        for member in job.members:
            names = {question.name for question in open_questions(member, self.questions, root)}
            left |= {(member.name, name) for name in names}
            summary.kept += [(member.name, question.name) for question in self.questions if question.name not in names]
        return left

    def _work_off(self, job: Job, pairs: set[tuple[str, str]], lock: int, clock: _Clock, summary: Summary) -> list[Job]:
        """Run one job to its end; returns a job for each full fine-tune that needs an engine of its own after all."""
        log = self.out / LOGS / f"{time.strftime('%Y%m%dT%H%M%S')}-{job.engine}-{os.getpid()}-{clock.jobs()}.log"
        log.parent.mkdir(exist_ok=True)
        self.say(f"starting {job.title}: {', '.join(sorted({variant for variant, _ in pairs}))}")
        reason, again = "", []
        with tempfile.TemporaryDirectory() as folder, log.open("wb") as sink:
            for event in _events(self._entries(job), Path(folder), sink, lock, self.start_limit):
                if event["event"] == "failed" and event.get("alone"):
                    self.say(f"  {event['variant']}: needs an engine of its own; {event['reason']}")
                    again.append(alone(job, event["variant"]))
                else:
                    reason = self._heed(event, clock, summary) or reason
        left = {variant for variant, _ in pairs - set(summary.answered)} - {own.members[0].name for own in again}
        for variant in sorted(left):
            summary.failed.setdefault(variant, reason or f"{job.title} died; {_tail(log)}")
        return again

    def _entries(self, job: Job) -> dict[str, Any]:
        questions = [{**asdict(question)} for question in self.questions]
        return {"job": asdict(job), "questions": questions, "root": str(self.out / RUNS), "command": self.command}

    def _heed(self, event: dict[str, Any], clock: _Clock, summary: Summary) -> str:
        """Take in one event; returns the reason where the engine itself failed."""
        kind, variant, task = event["event"], event.get("variant", ""), event.get("task", "")
        if kind == "answered":
            summary.answered.append((variant, task))
            self.say(f"  {variant}: {task} answered; {clock.tick()}")
        elif kind == "failed":
            summary.failed[variant] = event["reason"]
            self.say(f"  {variant}: refused; {event['reason']}")
        elif kind == "proven":
            self.say(f"  {variant}: proven live")
        return str(event["reason"]) if kind == "engine failed" else ""


@dataclass
class _Clock:
    """How much is left, from how long the rest took."""

    total: int
    done: int = 0
    begun: int = 0
    started: float = field(default_factory=time.monotonic)

    def jobs(self) -> int:
        """The number of the job that begins now."""
        self.begun += 1
        return self.begun

    def tick(self) -> str:
        """Count a pair as done; says how much is left."""
        self.done += 1
        left = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        return (
            f"{self.done} of {self.total}, about {_duration(left)} left" if self.done < self.total else "the last one"
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class _locked:  # noqa: N801 - a context manager
    """Only one run writes into a folder; the worker holds the lock too, so that an orphan keeps others out."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK

    def __enter__(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        self._file = os.fdopen(descriptor, "r+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GroupgapError(
                f"{self._path.parent}: another groupgap run is writing there; wait for it, or end it"
            ) from error
        return self._file.fileno()

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _events(
    entries: dict[str, Any], folder: Path, sink: IO[bytes], lock: int, start_limit: float
) -> Iterator[dict[str, Any]]:
    """Start a worker and yield its events; an engine that does not start in time is ended."""
    (folder / "job.json").write_text(json.dumps(entries, default=str))
    reading, writing = os.pipe()
    command = [sys.executable, "-P", "-m", f"{__package__}.fleet_worker", str(folder / "job.json"), str(writing)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        pass_fds=(writing, lock),
        env={**ENVIRONMENT, **os.environ},
        start_new_session=True,
    )
    os.close(writing)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pump, args=(reading, lines), daemon=True).start()
    limit: float | None = start_limit
    ended = False
    try:
        while True:
            try:
                line = lines.get(timeout=limit)
            except queue.Empty:
                yield {"event": "engine failed", "reason": f"the engine did not start within {start_limit:.0f} s"}
                return
            if line is None:
                ended = True
                return
            limit = None
            yield json.loads(line)
    finally:
        _end(process, patience=30.0 if ended else 0.0)


def _pump(descriptor: int, lines: queue.Queue[str | None]) -> None:
    with os.fdopen(descriptor) as events:
        for line in events:
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[bytes], patience: float) -> None:
    """End a worker and all that it started; one that said goodbye gets some seconds to go by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(log: Path, lines: int = 3) -> str:
    """The end of a log in one line."""
    said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return (
        f"its last words: {' / '.join(said[-lines:])[:500]} (log: {log})" if said else f"it said nothing (log: {log})"
    )
