"""Guards the house: who may import whom, no circles, imports do nothing, only programs print."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

BELOW = {"lib.utils", "lib.cli", "lib.checkpoint", "lib.config"}
MODELS = {"lib.models.aiatrack"}
FAST, ONNX = {"lib.models.aiatrack.fast"}, {"lib.models.aiatrack.onnx"}
BATCH = {"lib.train.data.batch"}
TRAINER_PARTS = {f"lib.train.{room}" for room in ("actors", "admin", "data", "optimizer")}
LOW = {"lib.io", "lib.synthetic"}
TRACKER = {"lib.test.parameter", "lib.test.tracker"}

# A room, and the rooms that it may import besides itself. The most specific entry counts.
ALLOWED: dict[str, set[str]] = {
    "lib.utils": set(),
    "lib.cli": {"lib.utils"},
    "lib.checkpoint": {"lib.utils"},
    "lib.config": {"lib.utils"},
    "lib.io": {"lib.utils", "lib.cli"},
    "lib.synthetic": {"lib.utils", "lib.io"},
    "lib.models.aiatrack": BELOW,
    "lib.models.aiatrack.fast": BELOW | MODELS,
    "lib.models.aiatrack.onnx": BELOW | MODELS | FAST,
    "lib.train": BELOW | MODELS | {"lib.train"},
    "lib.train.actors": {"lib.utils", *MODELS, *BATCH},
    "lib.train.admin": BELOW | BATCH | {"lib.io"},
    "lib.train.data": BELOW | BATCH,
    "lib.train.data.batch": set(),
    "lib.train.dataset": BELOW | {"lib.io", "lib.synthetic"},
    "lib.train.optimizer": set(),
    "lib.train.trainers": BELOW | MODELS | BATCH | TRAINER_PARTS,
    "lib.test.parameter": BELOW,
    "lib.test.tracker": BELOW | MODELS | FAST | ONNX | LOW | {"lib.test.parameter"},
    "lib.test.evaluation": BELOW | ONNX | TRACKER | {"lib.io"},
    "lib.test.analysis": {"lib.utils", "lib.cli", "lib.io", "lib.test.evaluation"},
    "lib.test.utils": BELOW | {"lib.io", "lib.test.evaluation"},
    "lib.test.vot": BELOW | TRACKER | LOW,
    "lib.tools": {"lib"},
    "tracking": {"lib"},
}
FILES = sorted(p for folder in ("lib", "tracking") for p in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules of this project that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("lib", "tracking", "tests")}


def belongs(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def room_of(module: str) -> str:
    """The room that a module, or a name in one, lies in; "" outside of all."""
    return max((room for room in ALLOWED if belongs(module, room)), key=len, default="")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def offences(module: str, imported: set[str]) -> list[str]:
    """Imports that no arrow allows."""
    home = room_of(module)
    allowed = ALLOWED.get(home, set()) | (
        {home} - {"tracking"}
    )  # programs do not import each other
    # "lib" and "lib.train" stand for all below them but the tools, which are the programs' own.
    whole = tuple(f"{room}." for room in allowed & {"lib", "lib.train"})
    return [
        f"{module} imports {name}"
        for name in sorted(imported)
        if room_of(name) not in allowed
        and not (name.startswith(whole) and (home == "tracking" or not belongs(name, "lib.tools")))
    ]


def test_imports_follow_the_arrows() -> None:
    found = [line for path in FILES for line in offences(module_name(path), imports(path))]
    assert not found, "\n".join(found)


def test_every_module_is_in_a_room() -> None:
    outside = {module_name(path) for path in FILES if not room_of(module_name(path))}
    assert outside <= {"lib", "lib.models", "lib.test"}  # packages of rooms


def test_no_circles() -> None:
    """Neither of modules, wherever in a file they are imported, nor of rooms."""
    modules = {module_name(path): imports(path) for path in FILES}
    named = {m: {n if n in modules else n.rpartition(".")[0] for n in modules[m]} for m in modules}
    TopologicalSorter({m: names - {m} for m, names in named.items()}).prepare()
    wholes = {"lib", "lib.train"}
    rooms = {room: allowed - wholes for room, allowed in ALLOWED.items() if room not in wholes}
    TopologicalSorter(rooms).prepare()


def test_a_forbidden_import_is_noticed(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from lib.train import actors\n    import lib.tools.onnx_check\n")
    found = imports(bad)
    assert found == {"lib.train.actors", "lib.tools.onnx_check"}
    cases = {"lib.test.tracker.aiatrack": 2, "lib.tools.onnx_check": 0, "tracking.demo": 0}
    cases |= {
        "lib.newroom.new": 2,
        "lib.train.run_training": 1,
        "lib.utils.crop": 2,
        "lib.train.dataset.benchmarks": 2,
    }
    assert {home: len(offences(home, found)) for home in cases} == cases


def test_importing_lib_does_nothing(tmp_path: Path) -> None:
    """No output, no files, no flags, no filters: each module imported in a fresh process."""
    modules = [module_name(path) for path in FILES if path.parts[-2] != "tracking"]
    program = f"""
import sys, importlib, logging, os, signal, warnings
sys.path.insert(0, {str(ROOT)!r})
import cv2, lmdb, matplotlib, numpy, onnx, timm, torch, torchvision  # may do what they like
import onnxruntime.quantization, pycocotools.coco, torch.utils.tensorboard
import torch.fx.experimental.optimization


def state():
    return {{
        "path": list(sys.path), "filters": list(warnings.filters), "environment": dict(os.environ),
        "loggers": (list(logging.root.handlers), logging.root.level),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "dtype": torch.get_default_dtype(), "gradients": torch.is_grad_enabled(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "products": torch.get_float32_matmul_precision(),
        "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "random": (torch.get_rng_state().tolist(), str(numpy.random.get_state())),
        "matplotlib": dict(matplotlib.rcParams),
    }}


before = state()
for name in {modules!r}:
    importlib.import_module(name)
    for (what, was), now in zip(before.items(), state().values(), strict=True):
        assert was == now, (name, what, was, now)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and not list(tmp_path.iterdir())


def test_print_is_for_programs_only() -> None:
    found = []
    for path in FILES:
        if path.parts[-2] == "tracking" or path.stem.startswith("transform_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                found.append(f"{path}:{node.lineno} prints")
    assert not found, "\n".join(found)
