"""Guards the ONNX export and the tracker that runs its files: PyTorch's boxes, refusals."""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from programs import run_program, runner
from seeded import seeded_box, seeded_frame

from lib.checkpoint.files import save_checkpoint
from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.onnx import contract
from lib.models.aiatrack.onnx import export as onnx_export
from lib.models.aiatrack.onnx.contract import INPUTS, METADATA, OUTPUTS, GraphFacts
from lib.models.aiatrack.onnx.session import OnnxError, OnnxNetwork, choose_providers
from lib.models.aiatrack.weights import released_contents
from lib.test.tracker.load import load_tracker
from lib.test.tracker.onnx_tracker import OnnxTracker
from lib.utils.image import read_rgb
from tests.conftest import TINY

HYPER = (5, 3, -1e9)  # remembers every frame


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth.tar"
    save_checkpoint(path, released_contents(build_aiatrack(make_config(TINY)), 1))
    return path


@pytest.fixture(scope="module")
def export(
    weights: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """Run the program: the folder with both files, and what it printed."""
    folder = tmp_path_factory.mktemp("export")
    clip = folder / "clip"
    clip.mkdir()
    for t in range(5):
        cv2.imwrite(str(clip / f"{t}.png"), seeded_frame(t)[..., ::-1])
    box = ",".join(map(str, seeded_box(0)))
    network = ("--param", tiny_recipe, "--checkpoint", weights, "--dataset", "otb")
    check = ("--check-sequence", clip, "--init", box, "--frames", "4")
    done = run_program("export_onnx.py", *network, *check, "--int8", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


@pytest.fixture
def folder(export: tuple[Path, str]) -> Path:
    """The folder with both files; not to be written to."""
    return export[0]


@pytest.fixture
def pair(folder: Path, weights: Path, tiny_recipe: Path) -> tuple:
    """The same tracker in PyTorch and in ONNX Runtime."""
    return (
        load_tracker(tiny_recipe, weights, device="cpu", hyper=HYPER),
        load_tracker(tiny_recipe, device="cpu", hyper=HYPER, backend="onnx", onnx=folder),
    )


@pytest.mark.slow
def test_what_it_says(export: tuple[Path, str]) -> None:
    folder, text = export
    names = ["memorize.onnx", "track.onnx"]
    assert sorted(p.name for p in folder.iterdir()) == ["int8", *names]
    assert sorted(p.name for p in (folder / "int8").iterdir()) == names
    assert "track.onnx: opset 18" in text and "short_key (1, 2, 48, 16)" in text
    assert "track.box" in text and "(0.0001 is allowed)" in text
    assert "4 frames of" in text and "(0.05 is allowed)" in text and "times as fast" in text


@pytest.mark.slow
def test_files_stand_alone(folder: Path, weights: Path) -> None:
    """Valid, self-contained, static, and they say what they are."""
    for graph in INPUTS:
        model = onnx.load(folder / f"{graph}.onnx", load_external_data=False)
        assert model.opset_import[0].version == 18 and not model.functions
        assert [x.name for x in model.graph.input] == INPUTS[graph]
        assert [x.name for x in model.graph.output] == OUTPUTS[graph]
        for value in (*model.graph.input, *model.graph.output):
            assert all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim), value.name
        facts = GraphFacts.from_text({p.key: p.value for p in model.metadata_props}[METADATA])
        assert (facts.graph, facts.recipe, facts.ensemble) == (graph, "tiny", 3)
        assert facts.settings["MODEL.HIDDEN_DIM"] == 32 and len(facts.origin["checkpoint"]) == 16


@pytest.mark.slow
def test_boxes_are_pytorchs(pair: tuple) -> None:
    """Over a clip whose windows are padded at first, every frame remembered, and back again."""
    for tracker in pair:
        tracker.initialize(seeded_frame(0), [2, 3, 60, 40])
    for t in (*range(1, 9), *range(8, 0, -1)):
        torch_output, onnx_output = (tracker.track(seeded_frame(t)) for tracker in pair)
        np.testing.assert_allclose(onnx_output.box, torch_output.box, atol=0.01)
        assert onnx_output.score == pytest.approx(torch_output.score, abs=1e-4)
    assert len(pair[1].memory) == 5


@pytest.mark.slow
def test_boxes_are_pytorchs_on_a_real_sequence(pair: tuple, shared: Path) -> None:
    images = [
        read_rgb(shared / "sequences" / "Crossing" / "img" / f"{i:04d}.jpg") for i in range(1, 31)
    ]
    for tracker in pair:
        tracker.initialize(images[0], [205, 151, 17, 50])
    for image in images[1:]:
        torch_box, onnx_box = (tracker.track(image).box for tracker in pair)
        np.testing.assert_allclose(onnx_box, torch_box, atol=0.05)


@pytest.mark.slow
def test_states_are_saved(pair: tuple, tmp_path: Path) -> None:
    """A state goes on to the bit, in the library that computed it and in no other."""
    for tracker in pair:
        tracker.initialize(seeded_frame(0), seeded_box(0))
        tracker.track(seeded_frame(1))
        tracker.save_state(tmp_path / "a.state")
        expected = tracker.track(seeded_frame(2))
        other = tracker.for_new_target()
        other.load_state(tmp_path / "a.state")
        assert other.track(seeded_frame(2)) == expected
    with pytest.raises(ValueError, match="another network"):
        pair[0].load_state(tmp_path / "a.state")


@pytest.mark.slow
def test_several_targets(pair: tuple) -> None:
    """Together they are tracked as alone."""
    one = pair[1]
    trackers = [one, one.for_new_target(), one.for_new_target()]
    boxes = [seeded_box(0), [10, 20, 30, 30], [200, 100, 50, 50]]
    alone, together = [], []
    for tracker, box in zip(trackers, boxes, strict=True):
        tracker.initialize(seeded_frame(0), box)
        alone.append([tracker.track(seeded_frame(t)) for t in range(1, 5)])
    for tracker, box in zip(trackers, boxes, strict=True):
        tracker.initialize(seeded_frame(0), box)
    for t in range(1, 5):
        looks = [tracker.crop_search_region(seeded_frame(t)) for tracker in trackers]
        together.append(one.track_batch(trackers, looks))
    assert [list(outputs) for outputs in zip(*together, strict=True)] == alone


@pytest.mark.slow
def test_int8(pair: tuple, folder: Path, tiny_recipe: Path) -> None:
    """Another backbone, nearly the same boxes; the rest, memory among it, stays fp32."""
    model = onnx.load(folder / "int8" / "track.onnx")
    made = GraphFacts.from_text({p.key: p.value for p in model.metadata_props}[METADATA])
    assert made.origin["precision"] == "int8"
    kinds = {x.data_type for x in model.graph.initializer}
    assert {onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT} <= kinds
    options = {"device": "cpu", "hyper": HYPER, "backend": "onnx", "onnx": folder / "int8"}
    trackers = (pair[1], load_tracker(tiny_recipe, **options))
    for tracker in trackers:
        tracker.initialize(seeded_frame(0), seeded_box(0))
    exact, rounded = (tracker.track(seeded_frame(1)).box for tracker in trackers)
    assert exact != rounded
    np.testing.assert_allclose(rounded, exact, atol=2.0)


@pytest.mark.slow
def test_files_for_something_else(folder: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    def load(recipe: str | Path = tiny_recipe, dataset: str = "otb") -> OnnxTracker:
        return load_tracker(recipe, None, dataset, "cpu", backend="onnx", onnx=folder)

    with pytest.raises(OnnxError, match="made from recipe 'tiny', not 'baseline'"):
        load("baseline")
    changed = tmp_path / "tiny.yaml"
    changed.write_text(tiny_recipe.read_text().replace('"ENC_LAYERS": 2', '"ENC_LAYERS": 1'))
    with pytest.raises(OnnxError, match=r"changed since the export: .*ENC_LAYERS was 2 and is 1;"):
        load(changed)
    with pytest.raises(OnnxError, match="made for 3 short-term references, 4 are wanted"):
        load(dataset="lasot")


@pytest.mark.slow
def test_files_that_are_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no .*memorize.onnx; `python .* RECIPE` writes it"
    ):
        OnnxNetwork(tmp_path, "cpu")
    for name in ("memorize.onnx", "track.onnx"):
        (tmp_path / name).write_bytes(b"no graph")
    with pytest.raises(OnnxError, match=r"(memorize|track).onnx: ONNX Runtime cannot read it"):
        OnnxNetwork(tmp_path, "cpu")
    shutil.copy(folder / "track.onnx", tmp_path / "track.onnx")
    shutil.copy(folder / "track.onnx", tmp_path / "memorize.onnx")
    with pytest.raises(OnnxError, match=r"memorize.onnx holds the graph 'track'"):
        OnnxNetwork(tmp_path, "cpu")
    write_facts(folder / "memorize.onnx", tmp_path / "memorize.onnx", None)
    with pytest.raises(OnnxError, match=r"memorize.onnx was not written by `python tracking/exp"):
        OnnxNetwork(tmp_path, "cpu")
    facts = {"graph": "memorize", "recipe": "tiny", "settings": {}, "ensemble": 3, "origin": {}}
    made = GraphFacts(**facts)
    write_facts(folder / "memorize.onnx", tmp_path / "memorize.onnx", made.to_text())
    with pytest.raises(OnnxError, match=r"memorize.onnx and track.onnx come from two exports"):
        OnnxNetwork(tmp_path, "cpu")
    for text in (made._replace(format=1).to_text(), '{"graph": "memorize"}'):
        write_facts(folder / "memorize.onnx", tmp_path / "memorize.onnx", text)
        with pytest.raises(OnnxError, match=r"facts of .*format .*; export again"):
            OnnxNetwork(tmp_path, "cpu")


def test_a_folder_of_an_older_version(tmp_path: Path) -> None:
    for name in ("remember.onnx", "track.onnx"):
        (tmp_path / name).write_bytes(b"of format 1")
    message = r"no .*memorize.onnx \(remember.onnx is of an older version\); `python"
    with pytest.raises(FileNotFoundError, match=message):
        OnnxNetwork(tmp_path, "cpu")


def write_facts(source: Path, target: Path, text: str | None) -> None:
    """Copy a graph with other facts, or none."""
    model = onnx.load(source)
    del model.metadata_props[:]
    if text is not None:
        onnx.helper.set_model_props(model, {METADATA: text})
    onnx.save(model, target)


@pytest.mark.slow
def test_the_test_program(
    folder: Path,
    weights: Path,
    tiny_recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Results are PyTorch's, say where they come from, and stand for no others."""
    frames = tmp_path / "own" / "a"
    frames.mkdir(parents=True)
    for t in range(5):
        cv2.imwrite(str(frames / f"{t:03d}.png"), seeded_frame(t)[..., ::-1])
    (frames / "groundtruth.txt").write_text(",".join(map(str, seeded_box(0))))
    monkeypatch.setenv("AIATRACK_OWN_DIR", str(frames.parent))
    run = runner("test.py")
    common = ("--dataset", "own", "--param", tiny_recipe, "--device", "cpu")
    ways = {"torch": ("--checkpoint", weights), "onnx": ("--backend", "onnx", "--onnx", folder)}
    boxes = {}
    for name, way in ways.items():
        results = tmp_path / name
        status, _, err = run(*common, *way, "--results", results)
        assert status == 0, err
        (found,) = results.rglob("a_box.txt")
        boxes[name] = np.loadtxt(found, delimiter=",", ndmin=2)
    np.testing.assert_allclose(boxes["onnx"], boxes["torch"], atol=0.05)
    results = ("--results", tmp_path / "onnx")
    assert "1 were finished before" in run(*common, *ways["onnx"], *results)[1]
    assert "0 were finished before" in run(*common, *ways["torch"], *results)[1]


@pytest.mark.slow
def test_the_video_program(folder: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    for t in range(4):
        cv2.imwrite(str(tmp_path / f"{t}.png"), seeded_frame(t)[..., ::-1])
    run = runner("video_demo.py")
    boxes = [part for t in (0, 1) for part in ("--init", ",".join(map(str, seeded_box(t))))]
    options = ("--out", tmp_path / "a.mp4", "--param", tiny_recipe, "--device", "cpu")
    backend = ("--backend", "onnx", "--onnx", folder)
    status, text, err = run(tmp_path, *boxes, *options, *backend)
    assert status == 0, err
    assert "4 frames tracked" in text


WRONG_OPTIONS = [
    ({"backend": "tensorrt"}, r"backend must be one of \('torch', 'onnx'\); given: 'tensorrt'"),
    ({"onnx": "folder"}, "ONNX files need backend 'onnx'; given: 'folder'"),
    ({"checkpoint": "a.pth"}, "backend 'onnx' takes no checkpoint: the exported files settle"),
    ({"plain": True, "pooling": "cuda"}, "backend 'onnx' takes no pooling, plain: the exported"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS, ids=[c[1] for c in WRONG_OPTIONS])
def test_options_of_the_other_backend(options: dict, message: str) -> None:
    backend = {} if "onnx" in options else {"backend": "onnx"}
    with pytest.raises(ValueError, match=message):
        load_tracker("baseline", **{**backend, **options})


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def test_devices() -> None:
    assert choose_providers("auto", [CPU]) == choose_providers("cpu", [CUDA, CPU]) == [CPU]
    for device, index in (("auto", 0), ("cuda", 0), ("cuda:1", 1)):
        options = {"device_id": index, "use_tf32": 0}
        assert choose_providers(device, [CUDA, CPU]) == [(CUDA, options), CPU]
    with pytest.raises(ValueError, match=r"this ONNX Runtime has CPUExec.*onnxruntime-gpu"):
        choose_providers("cuda", [CPU])
    for device in ("mps", "cuda:x"):
        with pytest.raises(ValueError, match=f"or 'auto'; given: '{device}'"):
            choose_providers(device, [CUDA, CPU])


@pytest.mark.slow
def test_without_the_packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeError, match="ONNX Runtime is not installed: `pip install onnxrunti"):
        OnnxNetwork(folder, "cpu")
    monkeypatch.setattr(contract, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(RuntimeError, match="the export needs packages: `pip install no_such_packa"):
        contract.require_packages()


@pytest.mark.slow
def test_files_that_compute_something_else_are_not_written(
    folder: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is replaced by files of other weights."""

    def wrong_export(_: object, __: object, facts: GraphFacts, path: Path) -> None:
        shutil.copy(folder / f"{facts.graph}.onnx", path)

    monkeypatch.setattr(onnx_export, "export_graph", wrong_export)
    torch.manual_seed(1)
    other = tmp_path / "other.pth.tar"
    save_checkpoint(other, released_contents(build_aiatrack(make_config(TINY)), 1))
    out = tmp_path / "out"
    options = ("--param", tiny_recipe, "--checkpoint", other, "--out", out)
    status, text, err = run_program("export_onnx.py", *options)
    assert status == 1 and "track.box" in text
    assert "error: the files would not compute what PyTorch does: memorize.long_key" in err
    assert not list(out.iterdir())


REFUSED = [
    (1, "--checkpoint {tmp}/none.pth", "no checkpoint at {tmp}/none.pth"),
    (1, "--hyper 1,2", "--hyper must be capacity,ensemble,threshold"),
    (2, "--check-sequence clip", "--check-sequence SOURCE and --init X,Y,W,H go together"),
    (2, "--init 1,2,3", "a box is x,y,w,h in pixels"),
    (2, "--calibration x", "--calibration FOLDER is for --int8"),
    (2, "--frames 1", "--frames: must be 2 or more; given: 1"),
]


@pytest.mark.parametrize(("status", "arguments", "message"), REFUSED, ids=[c[1] for c in REFUSED])
def test_refusals(status: int, arguments: str, message: str, tmp_path: Path) -> None:
    given = [part.format(tmp=tmp_path) for part in arguments.split()]
    found, _, err = run_program("export_onnx.py", *given, "--out", tmp_path / "out")
    assert found == status and message.format(tmp=tmp_path) in err
    assert not (tmp_path / "out").exists()
