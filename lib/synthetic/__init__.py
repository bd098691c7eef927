"""Synthetic clips of moving, turning, partly hidden objects, with exact boxes.

    plan = plan_clip(np.random.default_rng(7), PhotoTextures(folder), ClipOptions(length=60))
    clip = render(plan)  # all frames and their boxes
    some = render(plan, [0, 40, 55])  # these frames
    truth = annotate(plan)  # all boxes and no frames

Everything random is drawn in `plan_clip` from the generator handed in: the same seed gives the same
pixels, whatever frames are drawn.
"""
