"""Ways to run the network that a profile compares, by name; without torch, as --help names them."""

from lib.test.tracker.options import TrackerOptions

MODES = {
    "plain": TrackerOptions(plain=True),
    "optimized": TrackerOptions(),
    "compiled": TrackerOptions(compile=True),
    "bf16": TrackerOptions(precision="bf16"),
    "bf16-compiled": TrackerOptions(precision="bf16", compile=True),
    "fp16": TrackerOptions(precision="fp16"),
    "fp16-compiled": TrackerOptions(precision="fp16", compile=True),
    "int8": TrackerOptions(precision="int8"),
}
