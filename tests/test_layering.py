"""Who may import whom: read from the code, so that arrows stay one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A package, and the packages of this project that it may import besides itself. The most specific
# entry counts.
ALLOWED = {
    "lib.utils": set(),
    "lib.config": {"lib.utils"},
    "lib.models": {"lib.utils", "lib.config"},
    "lib.train": {"lib.utils", "lib.config", "lib.models"},
    "lib.train.dataset": {"lib.utils", "lib.train.admin"},
    "lib.test": {"lib.utils", "lib.config", "lib.models"},
    "lib.test.tracker": {"lib.utils", "lib.config", "lib.models", "lib.test.parameter"},
    "lib.test.parameter": {"lib.utils", "lib.config"},
    "tracking": {"lib"},
}
FILES = sorted(p for folder in ("lib", "tracking") for p in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules of this project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("lib", "tracking", "tests")}


def belongs(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def layer(module: str) -> str:
    return max((p for p in ALLOWED if belongs(module, p)), key=len)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    module = module_name(path)
    if module in ("lib.__init__",):
        assert not imports(path)
        return
    home = layer(module)
    for name in imports(path):
        allowed = belongs(name, home) or any(belongs(name, p) for p in ALLOWED[home])
        assert allowed or name == "lib", f"{module} imports {name}"


def test_a_forbidden_import_is_noticed(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from lib.train import actors\n")
    (name,) = {n for n in imports(bad) if n != "lib.train.actors"}
    assert not any(belongs(name, p) for p in ALLOWED["lib.test"])


def test_importing_lib_does_nothing(tmp_path: Path) -> None:
    """No output, no files, no flags: every module imported in a fresh process elsewhere."""
    modules = [module_name(p).removesuffix(".__init__") for p in FILES if p.parts[-2] != "tracking"]
    program = f"""
import sys, importlib, warnings
sys.path.insert(0, {str(ROOT)!r})
import torch
before = list(sys.path), warnings.filters[:], torch.get_default_dtype()
flags = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
for name in {modules!r}:
    importlib.import_module(name)
assert before[0] == sys.path, "sys.path"
assert before[2] == torch.get_default_dtype()
assert flags == (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and not list(tmp_path.iterdir())


def test_print_is_for_programs_only() -> None:
    for path in FILES:
        if path.parts[-2] == "tracking" or path.stem.startswith("transform_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_print = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
            assert not is_print, f"{path}:{node.lineno} prints"
