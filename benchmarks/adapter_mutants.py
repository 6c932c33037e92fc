"""The mutants of ``check_mutants.py``: a true adapter's folder with one fault planted in it."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
METHODS = ("lora", "dora", "ia3", "classifier")
ODD_VALUES: list[Any] = [
    None, True, -1, 0, 3, 2**70, 1e308, "", "x", "q_proj", "../../etc/passwd", "é\u202e\n", [], [1], ["q_proj"], [[]],
    {}, {"q_proj": 3}, {"(": 1}, "(?:.*?.*?)*[QZ]{2}", ["os.system"],
]  # fmt: skip


class Bomb:
    """Unpickling this writes a file: the proof that somebody unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        """What unpickling calls."""
        return Path.write_text, (self.marker, "a pickle was opened")


class Mutant:
    """An adapter's folder, with the ways to plant one fault in it."""

    def __init__(self, folder: Path, rng: random.Random, marker: Path) -> None:
        self.folder, self.rng, self.marker = folder, rng, marker
        content = (folder / WEIGHTS).read_bytes()
        self.length = struct.unpack("<Q", content[:8])[0]
        self.header: dict[str, Any] = json.loads(content[8 : 8 + self.length])
        self.data = bytearray(content[8 + self.length :])
        self.config: dict[str, Any] = json.loads((folder / CONFIG).read_text())

    def write(self, header: bytes | None = None, length: int | None = None) -> None:
        """Write the weights again."""
        text = json.dumps(self.header).encode() if header is None else header
        size = struct.pack("<Q", len(text) if length is None else length)
        (self.folder / WEIGHTS).write_bytes(size + text + bytes(self.data))

    def set(self, **values: Any) -> None:
        """Write the configuration again, with other values."""
        (self.folder / CONFIG).write_text(json.dumps(self.config | values))

    def tensor(self) -> tuple[str, dict[str, Any]]:
        """A random tensor of the header."""
        return self.rng.choice([(name, entry) for name, entry in self.header.items() if name != "__metadata__"])

    def header_bytes(self) -> None:
        """Flip bytes of the header."""
        text = bytearray(json.dumps(self.header).encode())
        for _ in range(self.rng.randint(1, 8)):
            text[self.rng.randrange(len(text))] = self.rng.randrange(256)
        self.write(bytes(text))

    def data_bytes(self) -> None:
        """Flip bytes of the values."""
        for _ in range(self.rng.randint(1, 400)):
            self.data[self.rng.randrange(len(self.data))] = self.rng.randrange(256)
        self.write()

    def length_field(self) -> None:
        """Lie about the header's length."""
        self.write(length=self.rng.choice([0, 1, self.length - 1, self.length + 1, 2**31, 2**40, 2**63, 2**64 - 1]))

    def cut_or_grown(self) -> None:
        """Cut the file off, or add bytes."""
        path = self.folder / WEIGHTS
        content = path.read_bytes()
        path.write_bytes(self.rng.choice([content[: self.rng.randrange(len(content))], content + b"\0" * 7]))

    def shape(self) -> None:
        """Give a tensor another shape."""
        _, entry = self.tensor()
        shape = entry["shape"]
        entry["shape"] = self.rng.choice([shape[::-1], [*shape, 1], [1 << 50], [], [0], [-1], shape[:1], [str(shape)]])
        self.write()

    def dtype(self) -> None:
        """Give a tensor another type."""
        _, entry = self.tensor()
        entry["dtype"] = self.rng.choice(["F16", "I32", "U32", "BF16", "F64", "C64", "x", None, 3, "F4"])
        self.write()

    def offsets(self) -> None:
        """Move a tensor in the file."""
        _, entry = self.tensor()
        start, end = entry["data_offsets"]
        moved = [start + 4, end + 4], [0, 0], [end, start], [start, 2**62], [start], None, [-8, end], [0, end - start]
        entry["data_offsets"] = self.rng.choice(moved)
        self.write()

    def swapped(self) -> None:
        """Swap the places of two tensors."""
        (_, one), (_, other) = self.tensor(), self.tensor()
        one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]
        self.write()

    def dropped(self) -> None:
        """Leave a tensor out."""
        name, _ = self.tensor()
        self._rebuild({key: value for key, value in self._values().items() if key != name})

    def renamed(self) -> None:
        """Rename a tensor."""
        name, _ = self.tensor()
        other = self.rng.choice(
            [
                name.replace("layers.", "layers.7"), name.replace("base_model.model.", ""), name + "\u202e", "é" + name,
                name.replace("lora_A", "lora_A.default"), name.upper(), "../" + name, name.replace("model.layers", "x"),
            ]
        )  # fmt: skip
        self._rebuild({other if key == name else key: value for key, value in self._values().items()})

    def all_renamed(self) -> None:
        """Rename all tensors."""
        old, new = self.rng.choice(
            [("model.layers", "transformer.layers"), ("layers.1", "layers.5"), ("self_attn", "attn")]
        )
        self._rebuild({key.replace(old, new): value for key, value in self._values().items()})

    def added(self) -> None:
        """Add a tensor that nothing asks for."""
        name, _ = self.tensor()
        self._rebuild(self._values() | {name.replace("layers.0", "layers.9") + ".more": self._values()[name]})

    def widened(self) -> None:
        """Double a tensor."""
        import numpy as np

        name, _ = self.tensor()
        values = self._values()
        self._rebuild(values | {name: np.concatenate([values[name]] * 2, axis=self.rng.choice([0, -1]))})

    def not_finite(self) -> None:
        """Plant NaN or infinity."""
        values = self._values()
        name = self.rng.choice(sorted(values))
        values[name].reshape(-1)[self.rng.randrange(values[name].size)] = self.rng.choice([float("nan"), float("-inf")])
        self._rebuild(values)

    def dead(self) -> None:
        """Make the adapter change nothing."""
        self._rebuild({name: value * 0 + ("ia3" in name) for name, value in self._values().items()})

    def empty(self) -> None:
        """Leave no tensors."""
        self._rebuild({})

    def config_value(self) -> None:
        """Give a key of the configuration an odd value."""
        self.set(**{self.rng.choice(sorted(self.config)): self.rng.choice(ODD_VALUES)})

    def config_key(self) -> None:
        """Leave a key of the configuration out."""
        self.config.pop(self.rng.choice(sorted(self.config)))
        self.set()

    def rank(self) -> None:
        """Declare another rank."""
        self.set(r=self.rng.choice([1, 8, 64]), rank_pattern={"q_proj": self.rng.choice([1, 2, 4, 8])})

    def targets(self) -> None:
        """Declare other targets."""
        self.set(target_modules=self.rng.choice([["q_proj"], ["k_proj", "q_proj"], "all-linear", ".*", ".*proj", "(a"]))

    def config_bytes(self) -> None:
        """Flip bytes of the configuration."""
        text = bytearray((self.folder / CONFIG).read_bytes())
        for _ in range(self.rng.randint(1, 6)):
            text[self.rng.randrange(len(text))] = self.rng.randrange(256)
        (self.folder / CONFIG).write_bytes(bytes(text))

    def deep(self) -> None:
        """Nest JSON without end."""
        depth = self.rng.choice([100, 10_000, 300_000])
        text = b'{"a":' * depth + b"1" + b"}" * depth
        if self.rng.random() < 0.5:
            (self.folder / CONFIG).write_bytes(text)
        else:
            self.write(self.rng.choice([text, b"[" * depth, b"[" + b"[]," * 2_000_000 + b"[]]"]))

    def code(self) -> None:
        """Name modules that are code."""
        names: list[dict[str, Any]] = [
            {"auto_mapping": {"base_model_class": "X", "parent_library": "evil"}},
            {"auto_mapping": {"base_model_class": "X", "parent_library": "transformers_modules.evil"}},
            {"auto_map": {"AutoModel": "modeling.Evil"}},
            {"megatron_config": {"x": 1}, "megatron_core": "evil"},
            {"tokenizer_kwargs": {"trust_remote_code": True}},
            {"_custom_modules": {"a": "b"}},
        ]
        (self.folder / "modeling.py").write_text(f"open({str(self.marker)!r}, 'w')")
        (self.folder / "evil.py").write_text(f"open({str(self.marker)!r}, 'w')")
        self.set(**self.rng.choice(names))

    def link(self) -> None:
        """Lead out of the folder."""
        name = self.rng.choice([WEIGHTS, CONFIG])
        outside = self.folder.parent / f"outside-{self.folder.name}"
        shutil.move(self.folder / name, outside)
        (self.folder / name).symlink_to(
            self.rng.choice([outside, Path("/dev/zero"), Path("/proc/self/mem"), Path(name)])
        )

    def pickled(self) -> None:
        """Give a pickle for weights."""
        (self.folder / WEIGHTS).unlink()
        name = self.rng.choice(["adapter_model.bin", "adapter_model.pt", "pytorch_model.bin", WEIGHTS])
        (self.folder / name).write_bytes(pickle.dumps(Bomb(self.marker)))

    def _values(self) -> dict[str, Any]:
        from safetensors.numpy import load_file

        return {name: value.copy() for name, value in load_file(self.folder / WEIGHTS).items()}

    def _rebuild(self, values: dict[str, Any]) -> None:
        from safetensors.numpy import save_file

        save_file(values, self.folder / WEIGHTS)


FAULTS: list[Callable[[Mutant], None]] = [
    value for name, value in vars(Mutant).items() if not name.startswith("_") and name not in ("write", "set", "tensor")
]


def make_mutants(root: Path, true: dict[str, Path], count: int, seed: int) -> list[tuple[str, str, Path]]:
    """Plant one fault in each of ``count`` copies: (fault, method, folder)."""
    mutants = []
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        fault, method = FAULTS[number % len(FAULTS)], rng.choice(METHODS)
        folder = root / f"mutant-{number}"
        shutil.copytree(true[method], folder)
        fault(Mutant(folder, rng, root / "MARKER"))
        mutants.append((fault.__name__, method, folder))
    return mutants
