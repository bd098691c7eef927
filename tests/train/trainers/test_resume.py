"""Guards resuming: killed and gone on equals straight through, to the bit; bad files."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lib.checkpoint.files import CheckpointError, read_checkpoint, save_checkpoint
from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.weights import released_contents
from lib.train.admin.settings import Settings
from lib.train.data.loader import EpochBatchSampler
from lib.train.optimizer import build_optimizer, trained_parameters
from lib.train.run_training import train
from lib.train.trainers.checkpoints import INTERRUPTED, CheckpointFolder
from lib.train.trainers.run_settings import batches_done
from lib.utils.stopping import Stopped
from tests.train.tiny import Rectangles, tiny_samplers, write_recipe

ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")


def run_tiny(folder, recipe, **settings):
    """Train in this process."""
    return train(Settings(config=str(recipe), save_dir=folder, **settings), CPU, tiny_samplers)


def start_tiny(folder, recipe):
    """Train in another process, with two loading processes of its own."""
    code = (
        "from pathlib import Path\n"
        "from lib.train.admin.settings import Settings\n"
        "from lib.train.run_training import run\n"
        "from tests.train.tiny import tiny_samplers\n"
        f"run(Settings(config={str(recipe)!r}, save_dir=Path({str(folder)!r}), device='cpu', "
        "workers=2, samples=64), tiny_samplers)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own
    )


def wait_for(happened, process, seconds=60):
    """Wait until something has happened, while the process lives."""
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, f"nothing after {seconds} s"
        time.sleep(0.005)


def checkpoint(folder, epoch):
    return Settings(config="tiny", save_dir=folder).checkpoint_folder / (
        f"AIATRACK_ep{epoch:04d}.pth.tar"
    )


def assert_same(a, b, where="checkpoint"):
    """Both hold the same values, tensors to the bit."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    elif isinstance(a, Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Two epochs without a stop: the last checkpoint."""
    folder = tmp_path_factory.mktemp("straight")
    process = start_tiny(folder, write_recipe(folder))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return read_checkpoint(checkpoint(folder, 2))


@pytest.mark.slow
def test_killed_and_resumed_equals_straight_through(straight, tmp_path):
    recipe = write_recipe(tmp_path)
    process = start_tiny(tmp_path, recipe)
    wait_for(checkpoint(tmp_path, 1).exists, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert not checkpoint(tmp_path, 2).exists()
    process = start_tiny(tmp_path, recipe)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "resuming after epoch 1 from" in errors
    assert_same(read_checkpoint(checkpoint(tmp_path, 2)), straight)


def test_a_run_that_ends_early_by_request_leaves_the_schedule_alone(tmp_path):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe, until=1)
    assert checkpoint(tmp_path, 1).exists() and not checkpoint(tmp_path, 2).exists()
    run_tiny(tmp_path, recipe)
    run_tiny(tmp_path / "straight", recipe)
    one, two = (
        read_checkpoint(checkpoint(folder, 2)) for folder in (tmp_path, tmp_path / "straight")
    )
    assert_same(one["net"], two["net"])
    assert_same(one["optimizer"], two["optimizer"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_within_an_epoch_saves_and_goes_on_to_the_bit(straight, tmp_path, number):
    recipe = write_recipe(tmp_path)
    process = start_tiny(tmp_path, recipe)
    log = tmp_path / "logs" / "aiatrack-tiny.log"
    wait_for(lambda: log.exists() and "epoch 2 [2/32]" in log.read_text(), process)
    os.killpg(process.pid, number)  # as a terminal or a cluster does: its loading processes too
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number, errors
    stopped = read_checkpoint(checkpoint(tmp_path, 1).with_name(INTERRUPTED))
    assert 0 < stopped["batches_done"] < 32  # 64 samples in batches of 2
    process = start_tiny(tmp_path, recipe)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert f"resuming after epoch 1 and {stopped['batches_done']} batches" in errors
    assert_same(read_checkpoint(checkpoint(tmp_path, 2)), straight)
    assert not checkpoint(tmp_path, 1).with_name(INTERRUPTED).exists()


def test_falls_back_past_a_damaged_file(tmp_path, caplog):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe)
    last = checkpoint(tmp_path, 2)
    last.write_bytes(last.read_bytes()[:-1000])
    caplog.set_level("INFO")
    run_tiny(tmp_path, recipe)
    assert "damaged checkpoint, falling back to the one before" in caplog.text
    assert f"resuming after epoch 1 from {checkpoint(tmp_path, 1)}" in caplog.text
    assert read_checkpoint(last)["epoch"] == 2
    assert last.with_name(f"{last.name}.damaged").is_file()


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    """A folder with the checkpoints of two epochs."""
    folder = tmp_path_factory.mktemp("two")
    run_tiny(folder, write_recipe(folder))
    return folder


def edit(*place, to):
    """A function that puts a value, or a function of the old one, at a place in contents."""

    def change(contents):
        for key in place[:-1]:
            contents = contents[key]
        contents[place[-1]] = to(contents[place[-1]]) if callable(to) else to

    return change


def remove(*place):
    def change(contents):
        for key in place[:-1]:
            contents = contents[key]
        del contents[place[-1]]

    return change


NAN = float("nan")
STRANGE = [
    (edit("net", to=[1, 2]), r"net is \[1, 2\], not of type dict"),
    (edit("net", to={}), r"does not fit this network: \d+ missing"),
    (edit("net", "box_head.conv1_tl.0.weight", to=3), "is 3, not of type Tensor"),
    (
        edit("net", "bottleneck.bias", to=lambda v: v[:3]),
        r"1 of another shape: bottleneck.bias",
    ),
    (
        edit("net", "bottleneck.bias", to=lambda v: v * NAN),
        "bottleneck.bias has 16 of 16 values",
    ),
    (remove("net"), "net is missing"),
    (remove("settings", "seed"), "settings.seed is missing"),
    (edit("settings", to=None), "settings is None, not of type dict"),
    (edit("settings", "recipe", to={}), "settings.recipe.MODEL is missing"),
    (edit("settings", "recipe", "TRAIN", "LR", to=torch.ones(2)), "settings.recipe is no recipe"),
    (edit("settings", "batch", to="4"), "settings.batch is '4', not of type int"),
    (edit("stats", to={}), "stats.history is missing"),
    (
        edit("stats", "history", to={"train 1": 0.5}),
        "stats.history.train 1 is 0.5, not of",
    ),
    (edit("stats", "under way", to={"IoU": [1.0]}), "stats.under way needs a sum and a count"),
    (edit("epoch", to="2"), "epoch is '2', not of type int"),
    (edit("epoch", to=True), "epoch is True, not of type int"),
    (edit("epoch", to=-2), "epoch -2"),
    (edit("batches_done", to=None), "batches_done is None"),
    (edit("written", to=["all"]), r"written\[0\] is 'all'"),
    (edit("scaler", to={"scale": 2.0}), "scaler lacks _growth_tracker"),
    (edit("optimizer", to={}), "optimizer.state is missing"),
    (edit("optimizer", "state", 0, to=[1]), r"optimizer.state.0 is \[1\]"),
    (edit("optimizer", "state", 0, "exp_avg", to=torch.ones(3, 5)), r"keeps exp_avg of \(3, 5\)"),
    (edit("optimizer", "state", 0, "exp_avg", to=0.5), r"keeps exp_avg of \(\)"),
    (edit("optimizer", "state", 0, "exp_avg_sq", to=lambda v: v * NAN), "that is not finite"),
    (edit("optimizer", "state", 0, "step", to=torch.ones(2)), r"keeps step of \(2,\)"),
    (remove("optimizer", "state", 0, "exp_avg"), "lacks exp_avg of"),
    (edit("optimizer", "param_groups", to=lambda v: v[:1]), "has groups of"),
]


@pytest.mark.parametrize(("change", "message"), STRANGE, ids=[c[1] for c in STRANGE])
def test_falls_back_past_strange_insides(two_epochs, tmp_path, caplog, change, message):
    """Files that are whole, with a right digest, and hold what training cannot go on from."""
    shutil.copytree(two_epochs, tmp_path, dirs_exist_ok=True)
    last = checkpoint(tmp_path, 2)
    contents = read_checkpoint(last)
    change(contents)
    save_checkpoint(last, contents)
    strange = last.read_bytes()
    caplog.set_level("INFO")
    run_tiny(tmp_path, write_recipe(tmp_path, EPOCH=3), until=1)
    assert re.search(f"falling back to the one before: {last}: .*{message}", caplog.text)
    assert f"resuming after epoch 1 from {checkpoint(tmp_path, 1)}" in caplog.text
    assert not last.exists() and Path(f"{last}.damaged").read_bytes() == strange


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def in_place(make):
    return lambda path: (path.unlink(), make(path))


@pytest.mark.parametrize("name", ["AIATRACK_ep0002.pth.tar", INTERRUPTED])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (flip_a_bit, "its bytes do not match the checksum"),
        (in_place(Path.touch), "truncated or not a checkpoint"),
        (in_place(Path.mkdir), "Is a directory"),
        (in_place(os.mkfifo), "not a regular file"),
        (in_place(lambda path: path.symlink_to("none")), "a link to nothing"),
    ],
    ids=["bit", "empty", "folder", "pipe", "link"],
)
def test_falls_back_past_what_cannot_be_read(two_epochs, tmp_path, caplog, spoil, message, name):
    """And saves the epoch anew in its place."""
    shutil.copytree(two_epochs, tmp_path, dirs_exist_ok=True)
    whole = read_checkpoint(checkpoint(tmp_path, 2))
    path = checkpoint(tmp_path, 2).with_name(name)
    checkpoint(tmp_path, 2).rename(path)
    spoil(path)
    run_tiny(tmp_path, write_recipe(tmp_path))
    assert re.search(f"falling back to the one before: {path}: .*{message}", caplog.text)
    assert_same(read_checkpoint(checkpoint(tmp_path, 2))["net"], whole["net"])
    assert not os.path.lexists(path.with_name(INTERRUPTED))


def test_interrupted_is_next_when_later_epochs_are_damaged(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=3)
    folder.save({"epoch": 1, "batches_done": 0})
    folder.save({"epoch": 1, "batches_done": 5})
    left_over = (tmp_path / INTERRUPTED).read_bytes()
    folder.save({"epoch": 2, "batches_done": 0})
    (tmp_path / INTERRUPTED).write_bytes(left_over)
    flip_a_bit(tmp_path / "AIATRACK_ep0002.pth.tar")
    assert folder.newest()[1]["batches_done"] == 5


def test_refuses_a_silent_fresh_start(tmp_path):
    recipe = write_recipe(tmp_path)
    path = checkpoint(tmp_path, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="none of its 1 checkpoints can be read"):
        run_tiny(tmp_path, recipe)


def test_finished_training_is_left_alone(tmp_path, caplog):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe)
    before = checkpoint(tmp_path, 2).read_bytes()
    assert 0 <= run_tiny(tmp_path, recipe)["IoU"] < 1  # of the last validation, as stored
    assert "nothing to do" in caplog.text
    assert checkpoint(tmp_path, 2).read_bytes() == before


def test_released_weights_are_never_saved_over(tmp_path, caplog):
    """Nothing to do: neither validated nor saved, and no file is there that was not."""
    recipe = write_recipe(tmp_path)
    weights, _ = released(tmp_path, recipe, epoch=2)
    path = checkpoint(tmp_path, 2)
    path.parent.mkdir(parents=True)
    weights.rename(path)
    before = path.read_bytes()
    files = sorted(tmp_path.rglob("*"))
    assert run_tiny(tmp_path, recipe) == {}
    assert "nothing to do" in caplog.text
    assert path.read_bytes() == before and sorted(tmp_path.rglob("*")) == files
    # Nor by a training that goes on from another file and would come to that epoch.
    other, _ = released(tmp_path, recipe, epoch=1)
    with pytest.raises(CheckpointError, match=r"ep0002.pth.tar: this training did not write it"):
        run_tiny(tmp_path, recipe, continue_from=other)
    assert path.read_bytes() == before
    run_tiny(tmp_path, recipe, continue_from=path, epochs=3)
    assert path.read_bytes() == before and read_checkpoint(checkpoint(tmp_path, 3))["epoch"] == 3


def test_nothing_is_saved_over_a_file_of_others(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    (tmp_path / "AIATRACK_ep0001.pth.tar").write_bytes(b"somebody else's")
    with pytest.raises(CheckpointError, match="did not write it and will not save over it"):
        folder.save({"epoch": 1, "batches_done": 0})
    (tmp_path / INTERRUPTED).write_bytes(b"somebody else's")
    with pytest.raises(CheckpointError, match=f"{INTERRUPTED}: this training did not write it"):
        folder.check_free(2, 2**31)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"somebody else's"}


def test_validation_that_was_missed_is_made_up_for(tmp_path, caplog):
    """Killed after an epoch's checkpoint and before its validation."""
    recipe = write_recipe(tmp_path)
    expected = run_tiny(tmp_path, recipe)
    path = checkpoint(tmp_path, 2)
    contents = read_checkpoint(path)
    del contents["stats"]["history"]["val 2"]
    torch.save(contents, path)
    assert run_tiny(tmp_path, recipe) == expected
    assert "nothing to do" not in caplog.text


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("MODEL", "HIDDEN_DIM", 32, "MODEL.HIDDEN_DIM 16 there, 32 here"),
        ("TRAIN", "FREEZE_BACKBONE_BN", True, "TRAIN.FREEZE_BACKBONE_BN False there, True here"),
    ],
)
def test_refuses_a_checkpoint_of_another_recipe(tmp_path, section, key, value, message):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe, epochs=1)
    other = write_recipe(tmp_path, section, **{key: value})
    with pytest.raises(CheckpointError, match=rf"written by another recipe: {message}.*init-from"):
        run_tiny(tmp_path, other)


def test_edited_rate_takes_hold_and_is_told(tmp_path, caplog):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe, epochs=1)
    run_tiny(tmp_path, write_recipe(tmp_path, LR=0.5e-4))
    assert "TRAIN.LR 0.0001 there, 5e-05 here" in caplog.text
    groups = read_checkpoint(checkpoint(tmp_path, 2))["optimizer"]["param_groups"]
    assert groups[0]["lr"] == 0.5e-4


def test_released_weights_are_not_resumed_from(tmp_path):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe, epochs=1)
    path = checkpoint(tmp_path, 1)
    contents = read_checkpoint(path)
    del contents["batches_done"], contents["scaler"]
    torch.save(contents, path)
    with pytest.raises(CheckpointError, match=r"lacks batches_done, scaler.*--init-from"):
        run_tiny(tmp_path, recipe)


def test_interrupted_needs_the_same_batch(tmp_path):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe, epochs=1)
    path = checkpoint(tmp_path, 1)
    contents = {**read_checkpoint(path), "batches_done": 2}
    torch.save(contents, path.with_name(INTERRUPTED))
    with pytest.raises(CheckpointError, match="2 samples an update; here it is 4"):
        run_tiny(tmp_path, recipe, batch_size=4)


class Noting(Rectangles):
    """Notes which samples are drawn, and stops the training at one of them."""

    def __init__(self, stop_at=-1):
        self.drawn, self.stop_at = [], stop_at

    def draw(self, generator):
        self.drawn.append(generator.bit_generator.state["state"]["state"])
        if len(self.drawn) == self.stop_at:
            signal.raise_signal(signal.SIGTERM)
        return super().draw(generator)


def drawn_by(folder, stop_at=-1, **settings):
    """Samples that a training draws in its only epoch, until it ends or is stopped."""
    sampler = Noting(stop_at)
    settings = Settings(
        config=str(write_recipe(folder, EPOCH=1)), save_dir=folder, samples=26, **settings
    )
    with contextlib.suppress(Stopped):
        train(settings, CPU, lambda cfg: (sampler, None))
    return sampler.drawn


@pytest.mark.parametrize(("first", "then"), [((8, 1), (2, 4)), ((2, 4), (8, 1))], ids=str)
def test_another_split_goes_on_with_the_samples_that_are_left(tmp_path, first, then):
    """Batch x accumulated of product 8: three updates of an epoch, stopped after the first."""
    (straight := tmp_path / "straight").mkdir()
    whole = drawn_by(straight, batch_size=8)[:24]
    before = drawn_by(tmp_path, stop_at=8, batch_size=first[0], accumulate=first[1])
    after = drawn_by(tmp_path, batch_size=then[0], accumulate=then[1])
    assert before == whole[:8] and after[:16] == whole[8:]


SPLITS = [(1, 8), (2, 4), (4, 2), (8, 1)]  # processes x batch


@pytest.mark.parametrize("first", SPLITS, ids=str)
@pytest.mark.parametrize("then", SPLITS, ids=str)
def test_every_split_over_processes_goes_on_likewise(first, then):
    def numbers(split, batches):
        processes, batch = split
        samplers = [EpochBatchSampler(batch, rank, processes, 64) for rank in range(processes)]
        for sampler in samplers:
            sampler.first_batch = batches.start
        taken = len(batches) if batches.stop else None
        return sorted(
            key[1] for sampler in samplers for keys in list(sampler)[:taken] for key in keys
        )

    def run(split):
        return {
            "processes": split[0],
            "batch": split[1],
            "accumulate": 1,
            "seed": 1,
            "precision": "",
        }

    contents = {"batches_done": 3, "settings": run(first)}
    done = batches_done(Path("x"), contents, run(then))
    before, after = numbers(first, range(0, 3)), numbers(then, range(done, 0))
    assert before + after == list(range(64))


def test_fine_tuning_starts_from_given_weights(tmp_path):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe, epochs=1)
    source = checkpoint(tmp_path, 1)
    still = write_recipe(tmp_path, LR=1e-30, WEIGHT_DECAY=0.0)
    run_tiny(tmp_path / "tuned", still, epochs=1, init_from=source)
    before = read_checkpoint(source)["net"]
    after = read_checkpoint(checkpoint(tmp_path / "tuned", 1))["net"]
    names = [name for name in before if name.endswith("weight")]
    assert_same({n: after[n] for n in names}, {n: before[n] for n in names})


def released(folder, recipe, epoch=5):
    """A checkpoint of the released format with made-up moments."""
    model = build_aiatrack(load_config(recipe))
    optimizer = build_optimizer(model, load_config(recipe))
    generator = torch.Generator().manual_seed(3)
    for group in optimizer.param_groups:
        for p in group["params"]:
            optimizer.state[p] = {
                "step": torch.tensor(40.0),
                "exp_avg": torch.randn(p.shape, generator=generator) * 0.01,
                "exp_avg_sq": torch.rand(p.shape, generator=generator) * 0.01,
            }
    contents = {**released_contents(model, epoch), "optimizer": optimizer.state_dict()}
    save_checkpoint(folder / "RELEASED.pth.tar", contents)
    return folder / "RELEASED.pth.tar", contents


def adamw_by_hand(weight, gradient, state, rate, decay):
    """One step of AdamW: Loshchilov and Hutter 2019, algorithm 2, betas 0.9 and 0.999."""
    step = state["step"].item() + 1
    mean = 0.9 * state["exp_avg"] + 0.1 * gradient
    square = 0.999 * state["exp_avg_sq"] + 0.001 * gradient**2
    ratio = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    return weight * (1 - rate * decay) - rate * ratio


def test_continues_from_released_weights_and_moments(tmp_path, caplog):
    """Epoch 6 of 6 in one update; the same update by hand, from its gradients."""
    caplog.set_level("INFO")
    recipe = write_recipe(tmp_path, "TRAIN", EPOCH=6, BATCH_SIZE=8, LR_DROP_EPOCH=4)
    path, contents = released(tmp_path, recipe)
    gradients = {}

    def note(optimizer, *_):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients.update({i: p.grad.clone() for i, p in enumerate(parameters)})

    hook = register_optimizer_step_pre_hook(note)
    run_tiny(tmp_path / "run", recipe, continue_from=path)
    hook.remove()
    assert "resuming after epoch 5" in caplog.text and f"{len(gradients)} parameters" in caplog.text
    saved = read_checkpoint(checkpoint(tmp_path / "run", 6))
    cfg = load_config(recipe)
    model = build_aiatrack(cfg)
    names = [name for group in trained_parameters(model) for name in group]
    for number, name in enumerate(names):
        expected = adamw_by_hand(
            contents["net"][name],
            gradients[number],
            contents["optimizer"]["state"][number],
            rate=cfg.TRAIN.LR * cfg.TRAIN.SCHEDULER.DECAY_RATE,
            decay=cfg.TRAIN.WEIGHT_DECAY,
        )
        torch.testing.assert_close(saved["net"][name], expected, rtol=1e-5, atol=1e-7, msg=name)


def test_a_continued_training_resumes_from_its_own_checkpoint(tmp_path, caplog):
    caplog.set_level("INFO")
    recipe = write_recipe(tmp_path, "TRAIN", EPOCH=7)
    path, _ = released(tmp_path, recipe)
    run_tiny(tmp_path / "run", recipe, continue_from=path, until=6)
    caplog.clear()
    run_tiny(tmp_path / "run", recipe, continue_from=path)
    assert "resuming after epoch 6" in caplog.text and checkpoint(tmp_path / "run", 7).is_file()


def test_what_cannot_be_continued_from(tmp_path):
    recipe = write_recipe(tmp_path, "TRAIN", EPOCH=6)
    path, contents = released(tmp_path, recipe)
    state = contents["optimizer"]["state"]
    cases = {
        r"of \(.*\) for .*parameters are in another order": {
            "optimizer": contents["optimizer"] | {"state": {**state, 0: state[len(state) - 1]}}
        },
        "has groups of": {"optimizer": {"state": state, "param_groups": [{"params": [0]}]}},
        "has no optimizer state and epoch": {"optimizer": {}},
        "no optimizer state and epoch": {"optimizer": {"state": state}},
        "is of epoch 6, and TRAIN.EPOCH is 6; raise --epochs": {"epoch": 6},
        "no weights in it": {"net": 3},
        "bottleneck.bias has 16 of 16 values that are not": {
            "net": {**contents["net"], "bottleneck.bias": torch.full((16,), NAN)}
        },
        "does not fit this network": {"net": {"a": torch.ones(1)}},
        r"state.0 is \[1\], not of type dict": {
            "optimizer": contents["optimizer"] | {"state": {**state, 0: [1]}}
        },
    }
    for message, change in cases.items():
        save_checkpoint(path, {**contents, **change})
        with pytest.raises(CheckpointError, match=message):
            run_tiny(tmp_path / "run", recipe, continue_from=path)
    with pytest.raises(ValueError, match="give one of them"):
        Settings(config=str(recipe), init_from=path, continue_from=path)


def test_format_is_the_released_one_in_plain_types(tmp_path):
    run_tiny(tmp_path, write_recipe(tmp_path), epochs=1)
    contents = torch.load(checkpoint(tmp_path, 1), weights_only=True)
    for key, value in {
        "epoch": 1,
        "actor_type": "AIATRACKActor",
        "net_type": "AIATRACK",
        "net_info": None,
        "constructor": None,
    }.items():
        assert contents[key] == value
    assert {"net", "optimizer", "stats", "settings"} <= contents.keys()
    assert {"train 1", "val 1"} == contents["stats"]["history"].keys()


def test_keeps_the_last_few_and_every_100th(tmp_path):
    (tmp_path / "AIATRACK_ep0007.pth.tar").write_bytes(b"somebody else's")
    folder = CheckpointFolder(tmp_path, keep=2)
    for epoch in range(98, 105):
        folder.save({"epoch": epoch, "batches_done": 0})
    names = sorted(path.name[11:15] for path in tmp_path.iterdir())
    assert names == ["0007", "0100", "0103", "0104"]


def test_keeps_counting_after_a_resume(tmp_path):
    first = CheckpointFolder(tmp_path, keep=2)
    for epoch in (1, 2):
        first.save({"epoch": epoch, "batches_done": 0})
    second = CheckpointFolder(tmp_path, keep=2)
    assert second.newest()[1]["epoch"] == 2
    second.save({"epoch": 3, "batches_done": 0})
    assert sorted(path.name[14] for path in tmp_path.iterdir()) == ["2", "3"]


def test_left_over_interrupted_file_is_ignored(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save({"epoch": 1, "batches_done": 5})
    left_over = (tmp_path / INTERRUPTED).read_bytes()
    assert folder.newest()[1]["batches_done"] == 5
    folder.save({"epoch": 2, "batches_done": 0})
    assert not (tmp_path / INTERRUPTED).exists()
    (tmp_path / INTERRUPTED).write_bytes(left_over)
    assert folder.newest()[1]["epoch"] == 2


DISK_FULL = """
import resource, sys
from pathlib import Path
import torch
from lib.train.trainers.checkpoints import CheckpointFolder
folder = CheckpointFolder(Path(sys.argv[1]), keep=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
folder.save({"epoch": 2, "batches_done": 0, "net": {"w": torch.zeros(2**20)}})
"""


def test_old_checkpoint_survives_a_full_disk(tmp_path):
    """A limit on the size of files makes writing fail half-way, as a full disk does."""
    CheckpointFolder(tmp_path, keep=1).save({"epoch": 1, "batches_done": 0})
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "AIATRACK_ep0002.pth.tar: could not be saved" in done.stderr
    assert "The newest good checkpoint is" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["AIATRACK_ep0001.pth.tar"]
    assert read_checkpoint(tmp_path / "AIATRACK_ep0001.pth.tar")["epoch"] == 1
