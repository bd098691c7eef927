"""The reports of profile_model.py as text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2

from lib.tools.profiling.data import KINDS, PARTS
from lib.tools.profiling.timers import STAGES
from lib.utils.image import jpeg_decoder

Report = Mapping[str, Any]


def table(*rows: Sequence[object]) -> str:
    """Lay out rows: the first column on the left, the others on the right."""
    cells = [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    first, *widths = (max(map(len, column)) for column in zip(*cells, strict=True))
    return "\n".join(
        row[0].ljust(first)
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))
        for row in cells
    )


def describe_tracking(report: Report) -> Iterator[str]:
    """A report of `profile_tracking`, a few lines at a time; so do the functions below."""
    yield (
        f"{report['device']}, {report['threads']} threads, torch {report['torch']}; "
        f"{report['parameters'] / 1e6:.2f} M parameters, {report['references']} references, "
        f"{report['image'][0]} x {report['image'][1]} video\n"
    )
    modes: list[str] = report["modes"]
    rows: list[list[object]] = [["", *(cell for name in modes for cell in ("", name, ""))]]
    rows.append(["stage", *("GFLOP", "p50 ms", "p95 ms") * len(modes)])
    for stage in (*STAGES, "frame"):
        rows.append([stage])
        for name in modes:
            operations = report["GFLOP"][name].get(stage, 0.0) if name in report["GFLOP"] else "-"
            rows[-1] += [operations, *report["milliseconds"][name][stage].values()]
    yield table(*rows) + "\n"
    figures = {"FPS": report["FPS"], **report["median ratios"]}
    figures["bytes per memorized frame"] = report["bytes per memorized frame"]
    yield table(["", *modes], *([key, *values.values()] for key, values in figures.items()))
    yield f"\nmatrix product: {report['matrix product GFLOP/s']:.0f} GFLOP/s in fp32"
    resident = (f"{v / 2**20:.0f} MiB {when}" for when, v in report["resident memory"].items())
    yield f"memory of the process: {', '.join(resident)}"
    yield f"peak memory: {report['peak memory'] / 2**20:.0f} MiB"


def describe_batches(report: Report) -> Iterator[str]:
    ceilings, gflop = report["ceilings"], report["GFLOP"]
    rows: list[list[object]] = [["mode", "targets", *("p50 ms", "p95 ms", "frames/s") * 2, "share"]]
    for row in report["rows"]:
        rows.append([row["mode"], row["size"]])
        for part in (row["network"], row["with crops"]):
            rows[-1] += [*part.values(), round(1e3 * row["size"] / part["p50"])]
        rate = gflop * row["size"] / row["network"]["p50"] * 1e3  # GFLOP/s of the plain network
        ceiling = ceilings["fp32" if row["precision"] == "fp32" else "bf16"]
        rows[-1].append(f"{rate / ceiling:.0%}")
    yield f"{ceilings['device']}: the network alone, then with crops, transfers and memory; share:"
    yield "of the matrix product's rate, by the operations of the network as trained\n"
    yield table(*rows) + "\n"
    rates = (f"{name} {ceilings[name] / 1e3:.2f} TFLOP/s" for name in ("fp32", "bf16"))
    yield f"ceilings: copy {ceilings['copy GB/s']:.1f} GB/s; matrix product {', '.join(rates)}\n"
    for name, times in report["pooling"].items():
        text = times
        if not isinstance(times, str):
            text = ", ".join(f"{time:.3f} ms for {size}" for size, time in times.items())
        yield f"pooling, {name}: {text}"


def describe_step(report: Report) -> Iterator[str]:
    yield (
        f"{report['device']}, {report['threads']} threads, torch {report['torch']}; batches of "
        f"{report['batch_size']}, {report['steps']} steps of each kind; the whole recipe, "
        f"{report['epochs']} epochs of {report['samples']} samples, on one such device\n"
    )
    rows: list[list[object]] = []
    kinds = {name: report[name] for name in KINDS if name in report}
    for name, kind in kinds.items():
        times = [kind["samples_per_second"], kind["seconds"] * 1e3, kind["first_seconds"]]
        memory, settings = round(kind["memory"] / 2**20), f"{name}: {kind['settings']}"
        rows.append([settings, *times, memory, kind["recipe_hours"], kind["speedup"]])
    heads = ["step", "samples/s", "ms", "first s", "peak MiB", "recipe hours", "times plain"]
    yield table(heads, *rows)
    for name, kind in kinds.items():
        rows = [
            [of["name"], of["seconds"] * 1e3, f"{of['share']:.1%}", of["calls"]]
            for of in kind["operators"]
        ]
        yield "\n" + table([f"{name}: operator", "ms", "share", "calls"], *rows)


def describe_opening(report: Report) -> Iterator[str]:
    yield f"{report['sequences']} sequences, {report['boxes']} boxes, in the file cache"
    yield f"first opening (annotations parsed)  {report['first']:8.2f} s"
    yield f"second opening (from the index)     {report['second']:8.2f} s"


def describe_loading(report: Report, batch_size: int) -> Iterator[str]:
    samples, images = report["samples"], f"{report['images']:.0f} images"
    if report["bytes"]:
        images += f" of {report['bytes'] / report['images'] / 1024:.0f} KiB on average"
    yield f"{samples} samples, {images}"
    yield f"JPEG decoder {jpeg_decoder()}, OpenCV {cv2.__version__}, one core"
    rate, by_the_clock = samples / report["total"], samples / report["clock"]
    yield f"{rate:.1f} samples/s of the processor's time ({by_the_clock:.1f} by the clock)\n"
    rows: list[list[object]] = [["part", "ms per sample", "share"]]
    for part in (part for part in PARTS if report[part]):
        rows.append([part, 1e3 * report[part] / samples, f"{report[part] / report['total']:.1%}"])
    yield table(*rows)
    unpacking = 1e3 * report["unpacking"] / samples
    yield f"\nunpacking, in the training process on a CPU: {unpacking:.2f} ms per sample"
    first = f"first batch of {batch_size} from one worker: {report['first_batch']:.2f} s"
    yield f"{first} with its start, {report['later_batch']:.2f} s later"


def describe_limit(report: Report) -> Iterator[str]:
    """A report of `find_limit`."""
    step, process, room, needed = (report[key] for key in ("step", "process", "room", "needed"))
    yield f"\nsamples/s: {step:.1f} of the faster step, {process:.1f} of one loading process"
    yield (
        f"to keep up with the step takes --workers {needed}; {report['cores']} cores have room for "
        f"{room}, {room * process:.1f} samples/s at most"
    )
    name = {"step": "the step", "loading": "loading"}[report["limit"]]
    yield f"{name} limits training on this machine"
