"""Your paths and choices for testing; None means the default. docs/data.md lists them all."""

# Data sets. Environment variables AIATRACK_<NAME>_DIR, such as AIATRACK_OTB_DIR, go before these.
otb_dir: str | None = None
nfs_dir: str | None = None
uav_dir: str | None = None
lasot_dir: str | None = None
lasot_ext_dir: str | None = None
trackingnet_dir: str | None = None
got10k_dir: str | None = None
demo_dir: str | None = None
own_dir: str | None = None

# Where results go; the default is test/tracking_results in the project. AIATRACK_RESULTS_DIR too.
results_dir: str | None = None

# True shows each frame with its box while tracking, as --show does; needs a screen.
show_result: bool = False
