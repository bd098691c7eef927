"""Guards what documents print: commands that their programs take, and README's in a fresh clone.

In README a command that a fresh clone cannot run says what it needs: `needs ...` in its comment, or
something else than "nothing" in the last column of a table. All others are run here, shortened.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from tests.programs import run_program
from tests.test_repository import DOCUMENTS, ROOT, git

README = ROOT / "README.md"
ACCEPTED = 99  # exit status where a program's parser took the arguments
PLACEHOLDERS = {"FOLDER": "folder", "0|1": "1", "bf16|fp16": "bf16"}
# Words that other commands begin with.
OTHERS = set("bash cp git mkdir mypy pip pre-commit pytest ruff source ssh".split())
# What makes a command of README short enough for a test.
SHORTER = {
    "demo.py": "--device cpu --clips 1 --frames 3",
    "export_onnx.py": "--overwrite",
    "visualize_attention.py": "--device cpu --frame 2",
}


class Command(NamedTuple):
    """A command line as a document prints it."""

    line: str
    needs: str  # what a fresh clone lacks; empty: nothing


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[Command]:
    """Commands of a document: of its shell blocks, its tables and its sentences."""
    found = []
    for block in fenced(text, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            command, _, comment = line.partition(" # ")
            needs = re.search(r"needs .+", comment)
            found += [Command(c.strip(), needs[0] if needs else "") for c in command.split("&&")]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for line in re.findall(r"^\|.*\|$", prose, re.MULTILINE):
        last = line.strip("|").split("|")[-1].strip()
        needs = "" if last.startswith("nothing") else last
        found += [Command(c, needs) for c in re.findall(r"`((?:python|bash|pip) .+?)`", line)]
    sentences = re.sub(r"^\|.*\|$", "", prose, flags=re.MULTILINE)
    quoted = re.findall(r"`((?:[A-Z_]+=\S+\s)*python\s[^`]+)`", sentences)
    found += [Command(" ".join(c.split()), "a sentence") for q in quoted for c in q.split("&&")]
    return [command for command in found if command.line]


def words_of(line: str) -> list[str]:
    """The command's words, without settings of the environment and `time` before them."""
    for placeholder, value in PLACEHOLDERS.items():
        line = line.replace(placeholder, value)
    words = shlex.split(line)
    while re.fullmatch(r"[A-Z_0-9]+=.*|/usr/bin/time|-v", words[0]):
        words.pop(0)
    return words


def refusal(line: str) -> str:
    """Why a command cannot work wherever its data are; empty if it can."""
    first, *rest = words_of(line)
    if first == "python" and rest[0].endswith("setup.py"):
        return "" if (ROOT / rest[0]).is_file() else f"{rest[0]} is no file"
    if first == "python" and rest[0] != "-m":
        take = argparse.ArgumentParser.parse_args

        def parse(parser: argparse.ArgumentParser, *arguments: list[str] | None) -> None:
            take(parser, *arguments)
            raise SystemExit(ACCEPTED)

        with mock.patch.object(argparse.ArgumentParser, "parse_args", parse):
            done = run_program(ROOT / rest[0], *rest[1:])
        return "" if done.returncode == ACCEPTED else done.stderr[-300:] or f"{done.returncode}"
    if first in ("bash", "pip"):
        named = [word for word in rest if re.search(r"\.(sh|txt)$|^\.ci/", word)]
        return "".join(f"{name} is no file" for name in named if not (ROOT / name).is_file())
    known = first in OTHERS or first.startswith(".venv-vot/") or first == "python"
    return "" if known else f"{first} is no program of ours"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_programs_take_the_commands_that_documents_print(document: Path) -> None:
    faults = {}
    for command in commands(document.read_text(encoding="utf-8")):
        if why := refusal(command.line):
            faults[command.line] = why
    assert faults == {}


def test_refusals_are_found() -> None:
    text = "```bash\nA=1 python tracking/test.py --no-such  # needs OTB100\nrm x\n```\n"
    text += "| `python tracking/demo.py --clips 1` | nothing |\n"
    wrong, unknown, right = commands(text)
    assert wrong.needs == "needs OTB100" and right == ("python tracking/demo.py --clips 1", "")
    assert "--no-such" in refusal(wrong.line) and "no program of ours" in refusal(unknown.line)
    assert refusal(right.line) == "" and "no file" in refusal("bash tracking/none.sh")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, somewhere else."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a clone and git")
    folder = tmp_path_factory.mktemp("clone")
    for name in git(ROOT, "ls-files", "-z").split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def run_there(clone: Path, line: str) -> str:
    """Run a command line in a shell, with this test's Python; return what it says."""
    nowhere = str(clone / "nowhere")
    settings = {key: value for key, value in os.environ.items() if "AIATRACK" not in key}
    settings |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    settings |= {"XDG_CACHE_HOME": nowhere, "TORCH_HOME": nowhere}
    done = subprocess.run(
        ["bash", "-c", line], cwd=clone, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


RUN = {c.line for c in commands(README.read_text(encoding="utf-8")) if not c.needs}


@pytest.mark.slow
@pytest.mark.parametrize("line", sorted(RUN))
def test_commands_of_readme_that_need_nothing(clone: Path, line: str) -> None:
    program = Path(words_of(line)[1]).name
    run_there(clone, f"{line} {SHORTER.get(program, '')}")


def test_most_of_what_needs_nothing_is_there() -> None:
    assert len(RUN) >= 5 and any("video_demo.py" in line for line in RUN)


@pytest.mark.slow
def test_the_python_of_readme(clone: Path) -> None:
    (code,) = fenced(README.read_text(encoding="utf-8"), "python")
    (clone / "ten_lines.py").write_text(code)
    said = run_there(clone, "python ten_lines.py")
    assert len(said.splitlines()) == 2 * 23  # two targets in 23 frames


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 250
