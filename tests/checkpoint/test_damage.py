"""Guards against damage and malice: mutated files, claims without bytes, what is no file."""

import logging
import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.checkpoint.digest import digest
from lib.checkpoint.files import (
    CheckpointError,
    read_checkpoint,
    read_verified,
    read_weights,
    save_checkpoint,
    save_weights,
)

WEIGHTS = {
    "conv.weight": torch.rand(8, 4, 3, 3, generator=torch.Generator().manual_seed(1)),
    "norm.running_var": torch.linspace(0.5, 2, 8),
    "norm.num_batches_tracked": torch.tensor(7),
    "half": torch.linspace(-1, 1, 40).half(),
    "none": torch.zeros(0),
}
CONTENTS = {"epoch": 3, "net": WEIGHTS, "stats": {"history": {"train 3": {"IoU": 0.5}}}}


def write_ours(path: Path) -> None:
    save_checkpoint(path, CONTENTS)


def write_released(path: Path) -> None:
    torch.save(CONTENTS, path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path) -> None:
    save_weights(path, WEIGHTS)


FORMATS = {
    "ours.pth.tar": write_ours,
    "released.pth.tar": write_released,
    "ours.safetensors": write_safetensors,
}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a file as bad disks, transfers and tools do: one to three changes of six kinds."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, length = int(rng.integers(len(changed) or 1)), int(rng.integers(1, 65))
        kind = rng.integers(6)
        if kind == 0:
            changed[at : at + 1] = bytes(
                b ^ (1 << int(rng.integers(8))) for b in changed[at : at + 1]
            )
        elif kind == 1:
            changed[at : at + length] = rng.bytes(len(changed[at : at + length]))
        elif kind == 2:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length]
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype
        and a[n].shape == b[n].shape
        and torch.equal(a[n].float(), b[n].float())
        for n in a
    )


@pytest.mark.parametrize("name", FORMATS)
def test_mutations_never_load_silently_with_other_values(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """300 of each: refused in one line, or read with the same values; others say unverified."""
    path = tmp_path / name
    FORMATS[name](path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(18), 0
    for number in range(300):
        path.write_bytes(mutate(whole, rng))
        caplog.clear()
        try:
            state, verified = read_verified(path)
        except CheckpointError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and len(str(error)) < len(str(path)) + 500
            continue
        assert same(state, WEIGHTS) or (name.startswith("released") and not verified), number
        assert verified or "unverified" in caplog.text
    assert refused > 100


def test_single_bits_of_ours(tmp_path: Path) -> None:
    """A sample of all single flipped bits, which is what memory and disks do most often."""
    for name in ("ours.pth.tar", "ours.safetensors"):
        path = tmp_path / name
        FORMATS[name](path)
        whole = path.read_bytes()
        for bit in range(0, 8 * len(whole), 8 * len(whole) // 300):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            try:
                assert same(read_weights(path), WEIGHTS), (name, bit)
                assert name == "ours.safetensors"  # an archive is sealed, padding included
            except CheckpointError:
                continue


def test_files_of_ours_are_verified_and_others_say_that_they_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, write in FORMATS.items():
        caplog.clear()
        write(tmp_path / name)
        state, verified = read_verified(tmp_path / name)
        assert same(state, WEIGHTS) and verified == name.startswith("ours")
        assert [r.levelno for r in caplog.records] == [logging.WARNING] * (not verified)
        assert verified or f"{tmp_path / name}: unverified: " in caplog.text


def test_other_values_under_the_same_digest(tmp_path: Path) -> None:
    """Whole archives, right checksums, and a value, a name or a type that was changed."""
    path = tmp_path / "a.pth"
    changes = [
        {"epoch": 4},
        {"epoch": "3"},
        {"epoch": 3.0},
        {"net": {**WEIGHTS, "norm.running_var": WEIGHTS["norm.running_var"] * 2}},
        {"net": {**WEIGHTS, "half": WEIGHTS["half"].float()}},
        {"net": {f"x{name}": value for name, value in WEIGHTS.items()}},
        {"stats": {}},
        {"stats": {"history": {"train 3": [("IoU", 0.5)]}}},
    ]
    for change in changes:
        torch.save({**CONTENTS, **change, "digest": digest(CONTENTS)}, path)
        with pytest.raises(
            CheckpointError, match=r"a\.pth: damaged, or changed after it was saved"
        ):
            read_checkpoint(path)
    metadata = {"digest": digest({"a": torch.ones(2)})}
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"a\.safetensors: damaged, or changed"):
        read_weights(tmp_path / "a.safetensors")


def test_safetensors_of_ours_are_anybodys(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors")
    assert same(load_file(tmp_path / "a.safetensors"), WEIGHTS)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "digest": digest(dict(sorted(WEIGHTS.items())))}


def test_what_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="tensors and plain values, no set"):
        save_checkpoint(tmp_path / "a.pth", {"stats": {1, 2}})
    assert not list(tmp_path.iterdir())


def rewritten(path: Path, **changes: object) -> None:
    """Write our file anew with Python's zipfile, its records changed."""
    torch.save({"net": {"a": torch.zeros(2**16)}}, path)
    with zipfile.ZipFile(path) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    records |= changes.get("records", {})
    with zipfile.ZipFile(path, "w", changes.get("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in records.items():
            archive.writestr(f"{changes.get('folders', {}).get(name, 'archive')}/{name}", data)


def overlapping(path: Path) -> None:
    """Two records whose directory entries name the same bytes: twice their size from one."""
    rewritten(path, records={"data/1": b"\0" * 2**18})
    data = bytearray(path.read_bytes())
    entries = [i for i in range(len(data)) if data[i : i + 4] == b"PK\1\2"]
    for at in entries:
        data[at + 42 : at + 46] = data[entries[0] + 42 : entries[0] + 46]  # all at the first place
        data[at + 20 : at + 28] = (2**17).to_bytes(4, "little") * 2
    path.write_bytes(data)


def laughing() -> list:
    """2^60 numbers by a list of twice the same list, sixty deep."""
    value: list = [1]
    for _ in range(60):
        value = [value, value]
    return value


def expanded(path: Path) -> None:
    """10^12 numbers that all lie in one."""
    torch.save({"net": {"a": torch.ones(1).expand(10**12)}}, path)


BOMBS: list[tuple[str, Callable[[Path], object], str]] = [
    ("deflated", lambda p: rewritten(p, compression=zipfile.ZIP_DEFLATED), "compressed: refused"),
    ("bzip2", lambda p: rewritten(p, compression=zipfile.ZIP_BZIP2), "compressed: refused"),
    ("expanded tensor", expanded, r"claims a tensor of \(1000000000000,\)"),
    (
        "long pickle",
        lambda p: rewritten(p, records={"data.pkl": b"\x80\x02" + b"N" * 2**23}),
        "around",
    ),
    (
        "second pickle",
        lambda p: rewritten(p, records={"DATA.pkl": b"N."}),
        "not those of one torch",
    ),
    ("two folders", lambda p: rewritten(p, folders={"data/0": "b"}), "not those of one torch.save"),
    ("overlapping", overlapping, "claim more bytes|File name in directory"),
    (
        "long pickle before torch 1.6",
        lambda p: torch.save({"net": [0] * 2**21}, p, _use_new_zipfile_serialization=False),
        "bytes around its tensors",
    ),
]


@pytest.mark.parametrize(("write", "message"), [b[1:] for b in BOMBS], ids=[b[0] for b in BOMBS])
def test_bombs_are_refused_unread(
    tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "bomb.pth"
    write(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=message):
        read_weights(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_shared_parts_are_looked_at_once(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pth", {"net": {"a": torch.ones(1)}, "stats": laughing()})
    read_checkpoint(tmp_path / "a.pth")


def test_a_circle_is_an_error(tmp_path: Path) -> None:
    circle: list = []
    circle.append(circle)
    contents: dict = {"net": {"a": torch.ones(1)}, "stats": circle}
    torch.save({**contents, "digest": "sha256:00"}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="damaged, or changed"):
        read_checkpoint(tmp_path / "a.pth")
    contents["net"] = contents
    torch.save(contents, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no weights in it"):
        read_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", ["pth.tar", "safetensors"])
def test_what_is_no_file(tmp_path: Path, suffix: str) -> None:
    cases = {
        "Is a directory": Path.mkdir,
        "not a regular file, but a pipe, a socket or a device": os.mkfifo,
        "a link to nothing": lambda path: path.symlink_to(tmp_path / "none"),
    }
    for number, (message, make) in enumerate(cases.items()):
        path = tmp_path / f"{number}.{suffix}"
        make(path)
        with pytest.raises(CheckpointError, match=f"{number}.{suffix}: {message}"):
            read_weights(path)
    for odd, message in (("", "Is a directory"), ("a" * 300, "File name too long")):
        with pytest.raises(CheckpointError, match=message):
            read_weights(odd)


def test_odd_numbers_in_safetensors(tmp_path: Path) -> None:
    """Headers that lie about types, places and sizes."""
    path = tmp_path / "a.safetensors"
    tensor = '{"dtype":"%s","shape":[%s],"data_offsets":[%s]}'
    for kind, shape, offsets in [
        ("F32", "2", "0,8000000000000"),
        ("F32", "1000000000000", "0,8"),
        ("F32", "18446744073709551615,18446744073709551615", "0,8"),
        ("F32", "2", "8,0"),
        ("Q7", "2", "0,8"),
        ("F32", "-2", "0,8"),
    ]:
        header = f'{{"a":{tensor % (kind, shape, offsets)}}}'.encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
        with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
            read_weights(path)
    path.write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        read_weights(path)


def test_pickles_of_odd_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    for odd in (torch.ones(2).to_sparse(), torch.ones(2, device="meta")):
        torch.save({"net": {"a": odd}}, path)
        with pytest.raises(CheckpointError, match=r"a\.pth: "):
            read_weights(path)
