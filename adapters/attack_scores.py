"""``scores.parquet``: what a membership attack needs of a target, its shadows and the audited examples."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import GroupgapError
from ..harness_tasks.own_columns import MOST_GROUPS

FILE = "scores.parquet"
FACTS = b"groupgap.attack"
COLUMNS = {
    "target": "text: the variant that is attacked",
    "example": "text: the audited row's id, once for each target",
    "member": "bool: whether the target was trained on it",
    "statistic": "number, or a list with one for each augmentation: log p_y - log(1 - p_y) of the true class",
    "shadows": "list with an entry for each shadow, each like statistic; may be empty",
    "inside": "list of bool, one for each shadow: whether it was trained on the example",
    "groups": "list of text, axis=group, a = in the axis written \\=; may be empty",
}
MOST_TARGETS, MOST_AXES = 1_000, 100  # beyond them a small file would cost hours or all memory
MOST_VALUES = 1_000_000_000  # of all columns: 8 GB of numbers
MOST_TEXTS = 10_000_000  # rows, and names of groups in all rows: each is an object of Python's
LARGEST = 1e100  # beyond it a variance is no number any more
TEXTS = ("target", "example", "groups")
OPTIONAL = ("shadows", "inside", "groups")
_ESCAPED = re.compile(r"\\([\\=])")
_NAMED = re.compile(r"((?:[^\\=]|\\.)*)=(.*)", re.DOTALL)  # an axis, to the first = that is not escaped, and a group

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class AuditScores:
    """The scores of one target's audit.

    Attributes:
        target: the variant's name.
        examples: (n,) row ids.
        member: (n,) bool.
        statistic: (n, K), K augmentations.
        shadows: (S, n, K).
        inside: (S, n) bool.
        groups: axis to the group names of each example.
        facts: what is known of the target and of how its shadows were made, for the report.
    """

    target: str
    examples: tuple[str, ...]
    member: BoolArray
    statistic: FloatArray
    shadows: FloatArray
    inside: BoolArray
    groups: Mapping[str, tuple[tuple[str, ...], ...]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit, and an example that stands there twice."""
        n = len(self.examples)
        augmentations = self.statistic.shape[1:]
        shapes = (self.member.shape, self.statistic.shape[:1], self.shadows.shape[1:], self.inside.shape[1:])
        if shapes != ((n,), (n,), (n, *augmentations), (n,)) or len(self.shadows) != len(self.inside):
            raise GroupgapError(f"target {self.target!r:.80}: members, scores and shadows of {n:,} examples do not fit")
        if len(set(self.examples)) < n:
            raise GroupgapError(f"target {self.target!r:.80}: an example stands there twice")
        for name, array in (("statistic", self.statistic), ("shadows", self.shadows)):
            if not np.isfinite(array).all():
                count = int((~np.isfinite(array)).sum())
                raise GroupgapError(f"target {self.target!r:.80}: {count:,} numbers of {name} are not finite")

    def membership(self, axis: str) -> tuple[BoolArray, tuple[str, ...]]:
        """(n, G) bool and the G names of an axis, sorted; groups may overlap."""
        names = tuple(sorted({name for of_row in self.groups[axis] for name in of_row}))
        place = {name: column for column, name in enumerate(names)}
        matrix = np.zeros((len(self.examples), len(names)), dtype=np.bool_)
        for row, of_row in enumerate(self.groups[axis]):
            matrix[row, [place[name] for name in of_row]] = True
        return matrix, names


def write_scores(path: Path, audits: Iterable[AuditScores]) -> None:
    """Write ``scores.parquet`` (:data:`COLUMNS`); what is known of the targets goes into the file's metadata."""
    found = list(audits)
    tables = [_table(audit) for audit in found]
    facts = json.dumps({audit.target: dict(audit.facts) for audit in found}, default=str)
    table = pa.concat_tables(tables)
    pq.write_table(table.replace_schema_metadata({FACTS: facts.encode()}), path)


def _table(audit: AuditScores) -> pa.Table:
    single = audit.statistic.shape[1] == 1
    statistic = audit.statistic[:, 0] if single else list(audit.statistic)
    shadows = audit.shadows[:, :, 0].T if single else audit.shadows.transpose(1, 0, 2)
    axes = {axis.replace("\\", r"\\").replace("=", r"\="): rows for axis, rows in audit.groups.items()}
    groups = [
        [f"{axis}={name}" for axis, rows in axes.items() for name in rows[row]] for row in range(len(audit.examples))
    ]
    number = pa.float64()
    return pa.table(
        {
            "target": pa.array([audit.target] * len(audit.examples), pa.string()),
            "example": pa.array(audit.examples, pa.string()),
            "member": pa.array(audit.member),
            "statistic": pa.array(statistic, number if single else pa.list_(number)),
            "shadows": pa.array(shadows.tolist(), pa.list_(number if single else pa.list_(number))),
            "inside": pa.array(audit.inside.T.tolist(), pa.list_(pa.bool_())),
            "groups": pa.array(groups, pa.list_(pa.string())),
        }
    )


def read_scores(path: Path) -> tuple[AuditScores, ...]:
    """Read a scores file, one audit for each target, in the file's order; targets of the same examples in one order.

    Raises:
        GroupgapError: no parquet file, columns missing or of another kind, shadows of different numbers, examples
            that stand there twice.
    """
    try:
        table = _read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise GroupgapError(f"{path}: cannot be read as parquet ({str(error).splitlines()[0]:.200})") from error
    missing = [name for name in COLUMNS if name not in table.column_names and name not in OPTIONAL]
    if missing:
        raise GroupgapError(f"{path}: no column {missing[0]!r} ({COLUMNS[missing[0]]}); needed: {', '.join(COLUMNS)}")
    facts = _facts(table.schema.metadata or {})
    targets = _texts(path, table, "target")
    rows: dict[str, list[int]] = {}
    for row, target in enumerate(targets):
        rows.setdefault(target, []).append(row)
    if len(rows) > MOST_TARGETS:
        raise GroupgapError(f"{path}: {len(rows):,} targets, and at most {MOST_TARGETS:,} are judged at a time")
    audits = [_audit(path, name, table.take(pa.array(own)), facts.get(name, {})) for name, own in rows.items()]
    if not audits:
        raise GroupgapError(f"{path}: holds no rows")
    orders: dict[frozenset[str], tuple[str, ...]] = {}
    return tuple(_ordered(one, orders.setdefault(frozenset(one.examples), one.examples)) for one in audits)


def _ordered(audit: AuditScores, examples: tuple[str, ...]) -> AuditScores:
    """The audit with its examples in this order."""
    if audit.examples == examples:
        return audit
    place = {example: row for row, example in enumerate(audit.examples)}
    order = [place[example] for example in examples]
    return replace(
        audit,
        examples=examples,
        member=audit.member[order],
        statistic=audit.statistic[order],
        shadows=audit.shadows[:, order],
        inside=audit.inside[:, order],
        groups={axis: tuple(rows[row] for row in order) for axis, rows in audit.groups.items()},
    )


def _read_table(path: Path) -> pa.Table:
    """The columns that we know, unless they hold more than any memory, which a small file can.

    Raises:
        GroupgapError: too many entries.
    """
    with pq.ParquetFile(path) as file:
        whole, told = file.schema_arrow, file.metadata
    twice = [name for name in COLUMNS if whole.names.count(name) > 1]
    if twice:
        raise GroupgapError(f"{path}: column {twice[0]!r}: stands there {whole.names.count(twice[0])} times")
    names = [name for name in COLUMNS if name in whole.names]
    counts = _values(told)
    if sum(counts.values()) > MOST_VALUES:
        raise GroupgapError(f"{path}: more than {MOST_VALUES:,} numbers: judge fewer targets at a time")
    if max(told.num_rows, counts["groups"]) > MOST_TEXTS:
        raise GroupgapError(f"{path}: more than {MOST_TEXTS:,} rows or names: judge fewer targets at a time")
    paths = [told.schema.column(place).path for place in range(told.num_columns)]
    folded = [
        name for name in paths if name.partition(".")[0] in TEXTS
    ]  # each text once, however often it stands there
    with pq.ParquetFile(path, read_dictionary=folded) as file:
        table = file.read(columns=names)
    if sum(_letters(table.column(name)) for name in names if name in TEXTS) > MOST_VALUES:
        raise GroupgapError(f"{path}: more than {MOST_VALUES:,} bytes of text: judge fewer targets at a time")
    return table.cast(pa.schema([whole.field(name) for name in names], whole.metadata))


def _letters(column: pa.ChunkedArray) -> int:
    """The bytes of all texts of a column, counted as often as they stand there."""
    total = 0
    for values in column.chunks:
        while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            values = values.flatten()
        if pa.types.is_dictionary(values.type) and len(values.dictionary):
            lengths = pc.binary_length(values.dictionary).take(values.indices)
            total += pc.sum(lengths).as_py() or 0
    return total


def _values(metadata: pq.FileMetaData) -> Counter[str]:
    """The entries of each column, those of lists counted: told by the columns' headers, checked when they are read."""
    groups = (metadata.row_group(place) for place in range(metadata.num_row_groups))
    columns = (group.column(place) for group in groups for place in range(group.num_columns))
    counts: Counter[str] = Counter()
    for column in columns:
        counts[column.path_in_schema.partition(".")[0]] += column.num_values
    return counts


def _finite(text: str) -> float | str:
    """A number of JSON; one beyond all floats stays a text."""
    return value if math.isfinite(value := float(text)) else text


def _facts(metadata: Mapping[bytes, bytes]) -> dict[str, dict[str, Any]]:
    try:
        told = json.loads(metadata.get(FACTS, b"{}"), parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {str(name): value for name, value in told.items() if isinstance(value, dict)}


def _audit(path: Path, target: str, table: pa.Table, facts: Mapping[str, Any]) -> AuditScores:
    examples = tuple(_texts(path, table, "example"))
    n = len(examples)
    statistic = _numbers(path, table, "statistic", depth=1)
    statistic = statistic[:, None] if statistic.ndim == 1 else statistic
    if not statistic.shape[1]:
        raise GroupgapError(f"{path}: column 'statistic': lists without an entry; expected {COLUMNS['statistic']}")
    shadows, inside = np.empty((0, n, statistic.shape[1])), np.empty((0, n), dtype=np.bool_)
    if "shadows" in table.column_names:
        found = _numbers(path, table, "shadows", depth=2)
        found = found[:, :, None] if found.ndim == 2 else found
        if found.shape[1]:
            if "inside" not in table.column_names:
                raise GroupgapError(f"{path}: no column 'inside' ({COLUMNS['inside']}): shadows need it")
            shadows, inside = found.transpose(1, 0, 2), _bools(path, table, "inside").T
    member = _bools(path, table, "member")
    return AuditScores(target, examples, member, statistic, shadows, inside, _groups(path, table, n), facts)


def _texts(path: Path, table: pa.Table, name: str) -> list[str]:
    column = table.column(name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)) or column.null_count:
        raise GroupgapError(f"{path}: column {name!r}: expected {COLUMNS[name]}, without gaps; got {column.type}")
    try:
        return [str(value) for value in column.to_pylist()]
    except UnicodeDecodeError as error:
        raise GroupgapError(f"{path}: column {name!r}: not UTF-8") from error


def _numbers(path: Path, table: pa.Table, name: str, depth: int) -> FloatArray:
    """(n,), or (n, ...) for lists of the same lengths in each row."""
    values = table.column(name).combine_chunks()
    shape = [len(values)]
    while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values, length = _entries(path, values, name)
        shape.append(length)
    if values.null_count and not pa.types.is_null(values.type):
        place = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        row = place * shape[0] // len(values)
        raise GroupgapError(
            f"{path}: column {name!r}: a number is missing, of example {table['example'][row].as_py()!r:.80}"
        )
    if len(shape) - 1 > depth or not (
        pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_null(values.type)
    ):
        raise GroupgapError(f"{path}: column {name!r}: expected {COLUMNS[name]}; got {table.column(name).type}")
    numbers = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    beyond = np.flatnonzero(~(np.abs(numbers) <= LARGEST))
    if len(beyond):
        row = int(beyond[0]) * shape[0] // len(numbers)
        raise GroupgapError(
            f"{path}: column {name!r}: {numbers[beyond[0]]:g}, of example {table['example'][row].as_py()!r:.80}: "
            f"expected finite numbers of at most {LARGEST:g}"
        )
    return numbers.reshape(shape)


def _entries(path: Path, lists: pa.Array, name: str) -> tuple[pa.Array, int]:
    """What is in lists that are all of one length, and that length.

    Raises:
        GroupgapError: a list is missing, or two differ in length: entries would slip to other rows.
    """
    if lists.null_count:
        raise GroupgapError(f"{path}: column {name!r}: {lists.null_count:,} lists are missing")
    lengths = np.unique(np.diff(lists.offsets.to_numpy()))
    if len(lengths) > 1:
        raise GroupgapError(
            f"{path}: column {name!r}: lists of {lengths.min()} to {lengths.max()} entries; expected one length"
        )
    return lists.flatten(), int(lengths[0]) if len(lengths) else 0


def _bools(path: Path, table: pa.Table, name: str) -> BoolArray:
    """(n,), or (n, S) for lists of the same length in each row."""
    values = table.column(name).combine_chunks()
    shape = [len(values)]
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values, length = _entries(path, values, name)
        shape.append(length)
    if not pa.types.is_boolean(values.type) or values.null_count:
        raise GroupgapError(f"{path}: column {name!r}: expected {COLUMNS[name]}; got {table.column(name).type}")
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.bool_).reshape(shape)


def _groups(path: Path, table: pa.Table, n: int) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Axis to each row's groups; a name without ``=`` belongs to the axis ``group``."""
    if "groups" not in table.column_names:
        return {}
    try:
        listed = table.column("groups").to_pylist()
    except UnicodeDecodeError as error:
        raise GroupgapError(f"{path}: column 'groups': not UTF-8") from error
    if not all(isinstance(row, list) and all(isinstance(name, str) for name in row) for row in listed):
        raise GroupgapError(f"{path}: column 'groups': expected {COLUMNS['groups']}; got {table.column('groups').type}")
    found: dict[str, list[tuple[str, ...]]] = {}
    known: dict[str, set[str]] = {}
    for row, names in enumerate(listed):
        own: dict[str, dict[str, None]] = {}
        for axis, name in map(_split, names):
            if not axis or not name:
                raise GroupgapError(f"{path}: column 'groups': a nameless axis or group: expected {COLUMNS['groups']}")
            own.setdefault(axis, {})[name] = None
        for axis, of_row in own.items():
            found.setdefault(axis, [()] * n)[row] = tuple(of_row)
            known.setdefault(axis, set()).update(of_row)
            if len(known) > MOST_AXES or len(known[axis]) > MOST_GROUPS:
                raise GroupgapError(
                    f"{path}: column 'groups': more than {MOST_AXES} axes, or {MOST_GROUPS} groups of one: expected "
                    f"{COLUMNS['groups']}"
                )
    return {axis: tuple(rows) for axis, rows in found.items()}


def _split(name: str) -> tuple[str, str]:
    found = _NAMED.fullmatch(name)
    return (_ESCAPED.sub(r"\1", found[1]), found[2]) if found else ("group", name)


def check_same_audit(audits: Sequence[AuditScores]) -> None:
    """Refuse targets whose audits are of different examples or memberships: they cannot be compared example by example.

    Raises:
        GroupgapError: naming the two.
    """
    first = audits[0]
    for other in audits[1:]:
        differ = None
        if first.examples != other.examples:
            differ = "were audited on different examples"
        elif not np.array_equal(first.member, other.member):
            count = int((first.member != other.member).sum())
            differ = f"differ in which examples are members ({count:,} of {len(first.examples):,})"
        if differ:
            raise GroupgapError(f"{first.target!r:.80} and {other.target!r:.80} {differ}: no paired test")
