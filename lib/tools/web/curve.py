"""The scores of all targets over the frames, as a picture (SVG) that scales with the page."""

from lib.test.tracker.targets import State
from lib.tools.video.painter import colour_of
from lib.tools.web.labels import Labels

WIDTH, HEIGHT = 1000, 140  # of the curves
GAP, STRIP = 28, 30  # to the strips of lost frames; from one target's to the next's
MAX_POINTS = 500  # a target; more cannot be told apart


def score_curve(labels: Labels, count: int, at: int) -> str:
    """Draw scores in [0, 1], below them where each target is lost (dark) and checked (dots).

    Args:
        count: frames of the video. at: the frame to mark.
    """
    targets, width = labels.targets, max(count - 1, 1)
    height = HEIGHT + GAP + STRIP * len(targets)
    parts = [
        f'<figure style="margin:0"><svg viewBox="-70 -26 {WIDTH + 80} {height + 30}" role="img" '
        'style="width:100%;height:auto;background:#fff" font-family="system-ui,sans-serif">'
        "<title>Score of each target over the frames</title>"
    ]
    for score in (0, 0.5, 1):
        y = HEIGHT * (1 - score)
        parts.append(f'<path d="M0 {y}H{WIDTH}" stroke="#ccc"/>')
        parts.append(f'<text x="-8" y="{y + 5}" text-anchor="end">{score:g}</text>')
    for row, target in enumerate(targets):
        states = labels.track(target)
        parts += _target(states, width, HEIGHT + GAP + STRIP * row)
    x = WIDTH * min(at, width) / width
    parts.append(f'<path d="M{x:.1f} 0V{height}" stroke="#000" stroke-dasharray="4 3"/>')
    parts.append(
        f"</svg><figcaption>Scores in frames 0 to {width}; below, for each target: dark where it "
        "is lost, a dot where its box was checked by hand</figcaption></figure>"
    )
    return "".join(parts)


def _target(states: dict[int, State], width: int, top: float) -> list[str]:
    """One target's curve, and the strip of its lost and checked frames at `top`."""
    if not states:
        return []
    colour = "#{:02x}{:02x}{:02x}".format(*colour_of(next(iter(states.values())).target))
    every = max(1, len(states) // MAX_POINTS)
    numbers = list(states)
    groups = [numbers[i : i + every] for i in range(0, len(numbers), every)]
    points, lost, checked = [], [], []
    for group in groups:
        x, next_x = WIDTH * group[0] / width, WIDTH * (group[-1] + 1) / width
        scores = [score for number in group if (score := states[number].score) is not None]
        if scores:
            points.append(f"{x:.1f} {HEIGHT * (1 - min(scores)):.1f}")
        if any(states[number].lost for number in group):
            lost.append(f"M{x:.1f} {top:g}H{next_x:.1f}v8H{x:.1f}z")
        checked += [n for n in group if states[n].score is None]
    target = next(iter(states.values())).target
    begin, end = (WIDTH * n / width for n in (numbers[0], numbers[-1] + 1))
    dots = "".join(
        f'<circle cx="{WIDTH * n / width:.1f}" cy="{top + 4:g}" r="4" stroke="#000" fill="#fff"/>'
        for n in checked[:MAX_POINTS]
    )
    return [
        f'<path d="M{begin:.1f} {top:g}H{end:.1f}v8H{begin:.1f}z" fill="{colour}"/>',
        f'<path d="{"".join(lost)}" fill="#222"/>{dots}',
        f'<polyline points="{",".join(points)}" fill="none" stroke="{colour}" stroke-width="3"/>',
        f'<text x="-8" y="{top + 9:g}" text-anchor="end">{target}</text>',
    ]
