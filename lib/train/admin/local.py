"""Where your training data lie: paths used where the environment has no AIATRACK_<SET>_DIR.

None: AIATRACK_DATA/<folder> if that is set, ./data/<folder> otherwise. Each may be a folder or an
LMDB file made of it by tracking/make_lmdb.py.
"""

lasot_dir = None  # LaSOT
got10k_dir = None  # GOT10k
trackingnet_dir = None  # TrackingNet
coco_dir = None  # COCO
own_video_dir = None  # own_video: your annotated videos
own_images_dir = None  # own_images: your annotated images
photographs_dir = None  # photographs, of which synthetic clips are made
demo_dir = None  # demo: made when first used
