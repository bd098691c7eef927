"""Guards the programs around training data: make_lmdb.py and the data profile."""

from pathlib import Path

from lib.io.layouts import write_got10k
from lib.io.store import LmdbStore
from tests.programs import run_program
from tests.train.clips import make_clip


def test_make_lmdb_packs_and_does_not_replace_unasked(tmp_path: Path) -> None:
    write_got10k(tmp_path / "set", [("a", make_clip(3))])
    done = run_program("make_lmdb.py", tmp_path / "set")
    assert done.returncode == 0 and "set.lmdb: 8 files" in done.stdout
    packed = tmp_path / "set.lmdb"
    assert LmdbStore(packed).read_text("train/list.txt") == "a\n"
    before = packed.stat().st_mtime_ns
    again = run_program("make_lmdb.py", tmp_path / "set")
    assert again.returncode == 2 and "give --overwrite to replace it" in again.stderr
    assert packed.stat().st_mtime_ns == before
    assert run_program("make_lmdb.py", tmp_path / "set", "--overwrite").returncode == 0
    for arguments in ([""], [tmp_path / "set", "--output", ""]):
        empty = run_program("make_lmdb.py", *arguments)
        assert empty.returncode == 2 and "is empty (a variable that is not set?)" in empty.stderr
    absent = run_program("make_lmdb.py", tmp_path / "absent")
    assert absent.returncode == 2 and "no folder" in absent.stderr
