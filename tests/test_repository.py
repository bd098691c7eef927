"""Guards the repository: one version, leavings of runs are ignored, documents name real files."""

import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
import yaml

import lib

ROOT = Path(__file__).resolve().parents[1]
NAMED = r"(?<![\w./-])(?:lib|tracking|tests|docs)/(?:[\w./*-]|\{[^}]*\})*(?<![.-])"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# What README's commands write into the project's folder, or ask the user to put there.
LEFT_BY_COMMANDS = """
.venv/bin/python .venv-vot/bin/vot .venv-vot-0.9/bin/vot .cache/x.npz .mypy_cache/x .ruff_cache/x
Trained_Models.zip checkpoints/train/aiatrack/baseline/AIATRACK_ep0500.pth.tar
checkpoints/onnx/aiatrack/demo/memorize.onnx pretrained_models/resnet50-0676ba61.pth
data data/OTB100 data/LaSOT.lmdb data/own/sequences.csv frames/0001.jpg 0001.jpg clip.mp4
gpu_check/summary.txt demo/demo.mp4 demo/contact_sheet.png demo/clip.jsonl tracked.mp4 tracked.jsonl
attention.png attention.mp4 demo.safetensors own.csv results.csv results.json table.tex
report.html profile.json trackingnet_submit.zip logs/aiatrack-quick.log
test/tracking_results/aiatrack/baseline/otb/Deer.txt test/result_plots/otb/success.pdf
tensorboard/train/aiatrack/quick/events vot2020/config.yaml vot_local/trackers.ini
vot_workspace/trackers.ini ablation/ablation.csv lib/utils/__pycache__/crop.cpython-311.pyc
external/PreciseRoIPooling/prroi_pool_cuda.so external/PreciseRoIPooling/build/temp/x.o
""".split()


def git(folder: Path, *arguments: str, text: str = "") -> str:
    """Run git with the project's settings alone; its output."""
    command = ["git", "-c", "core.excludesFile=", *arguments]
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_commands_write_is_ignored(tmp_path: Path) -> None:
    """In an empty repository: here `data` may be a link, which git does not look behind."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git(tmp_path, "init", "--quiet")
    ignored = git(tmp_path, "check-ignore", "--stdin", text="\n".join(LEFT_BY_COMMANDS))
    assert ignored.split() == LEFT_BY_COMMANDS


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a clone")
def test_no_tracked_file_is_ignored() -> None:
    assert git(ROOT, "ls-files", "--cached", "--ignored", "--exclude-standard") == ""


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == lib.__version__
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    in_development = ".dev" in lib.__version__
    assert headings[0] == ("Unreleased" if in_development else lib.__version__)
    releases = [tuple(map(int, heading.split("."))) for heading in headings[in_development:]]
    version = tuple(map(int, lib.__version__.split(".dev")[0].split(".")))
    assert releases == sorted(releases, reverse=True)
    assert version > releases[0] if in_development else version == releases[0]


def named_paths(text: str) -> set[str]:
    """Relative paths of the project's own folders that a document names; {a,b} is both."""
    found = set()
    for name in re.findall(NAMED, text):
        parts = [re.split(", *", part.strip("{}")) for part in re.split(r"(\{.*?\})", name)]
        found |= {"".join(choice) for choice in product(*parts)}
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_files_that_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [name for name in sorted(named_paths(text)) if not list(ROOT.glob(name))]
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    missing += [link for link in links if not (document.parent / link).exists()]
    assert missing == []


def test_test_files_say_what_they_guard() -> None:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    silent = [p.name for p in files if not p.read_text().startswith('"""Guards ')]
    assert files and silent == []
