"""Charts as SVG inside a page, from figures alone.

The same figures give the same bytes on every processor: coordinates are sums and quotients of the figures, rounded to a
tenth, and no library adds a date or an identifier. Colours are classes that the page's style names; each series also
has a shape of its own, so that nobody needs the colour.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 28, 40, 52
ROW_HEIGHT = 26
LABEL_WIDTH = 170
MOST_TICKS = 6
LONGEST_LABEL = 24


@dataclass(frozen=True)
class Series:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """Maps values between two numbers to coordinates between two others."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> str:
        """A coordinate, to a tenth."""
        place = self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
        return f"{place:.1f}"


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from below the lowest to above the highest value, at most about six."""
    if not high > low:
        margin = abs(low) / 10 or 1.0
        low, high = low - margin, high + margin
    span, step = high - low, 1.0
    while step * MOST_TICKS < span:
        step *= 10
    while step > span:
        step /= 10
    step = next(part for part in (step / 10, step / 5, step / 2, step, step * 2, step * 5) if part * MOST_TICKS >= span)
    first = low // step
    count = 1
    while (first + count) * step < high:
        count += 1
    return [float(f"{(first + number) * step:.10g}") for number in range(count + 1)]


def line_chart(
    key: str, title: str, series: Sequence[Series], x_label: str, y_label: str, diagonal: bool = False
) -> str:
    """Lines of y by x; `key` is the chart's name within the page, `diagonal` draws where both are equal."""
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points]
    if diagonal:
        xs = ys = [*xs, *ys]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    x = Scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [
        *_grid_x(x, x_ticks, TOP, HEIGHT - BOTTOM),
        *(
            f'<path class="grid" d="M{LEFT} {y.at(tick)}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 8}" y="{y.at(tick)}" dy="4" text-anchor="end">{tick:g}</text>'
            for tick in y_ticks
        ),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{_text(x_label)}</text>',
        f'<text x="{LEFT - 48}" y="{TOP - 12}">{_text(y_label)}</text>',
    ]
    if diagonal:
        parts.append(
            f'<path class="equal" d="M{x.at(x.low)} {y.at(y.low)}L{x.at(x.high)} {y.at(y.high)}"/>'
            f'<text x="{x.at(x.high)}" y="{y.at(y.high)}" dx="-6" dy="16" text-anchor="end">equal</text>'
        )
    for number, one in enumerate(series):
        path = "L".join(f"{x.at(a)} {y.at(b)}" for a, b in one.points)
        parts.append(f'<path class="line s{number}" d="M{path}"/>')
    return _svg(key, title, HEIGHT, [*parts, *_legend([one.name for one in series], lines=True)])


def dot_chart(key: str, title: str, rows: Mapping[str, Mapping[str, float]], x_label: str) -> str:
    """A line for each name with a mark for each of its values, of which `rows` has the series by name."""
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    marks = ticks(*_limits(value for values in rows.values() for value in values.values()))
    height = TOP + BOTTOM + ROW_HEIGHT * len(rows)
    x = Scale(marks[0], marks[-1], LABEL_WIDTH, WIDTH - RIGHT)
    parts = _grid_x(x, marks, TOP, height - BOTTOM)
    for number, (label, values) in enumerate(rows.items()):
        y = TOP + ROW_HEIGHT * (number + 0.5)
        short = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
        parts.append(f'<text x="{LABEL_WIDTH - 10}" y="{y:.1f}" dy="4" text-anchor="end">{_text(short)}</text>')
        parts.append(f'<path class="grid" d="M{LABEL_WIDTH} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts += [_mark(names.index(name), x.at(value), y) for name, value in values.items()]
    parts.append(
        f'<text x="{(LABEL_WIDTH + WIDTH - RIGHT) / 2:.1f}" y="{height - 10}" text-anchor="middle">'
        f"{_text(x_label)}</text>"
    )
    return _svg(key, title, height, [*parts, *_legend(names, lines=False)])


def _limits(values: Iterable[float]) -> tuple[float, float]:
    known = list(values)
    return min(known), max(known)


def _grid_x(x: Scale, marks: Sequence[float], top: float, bottom: float) -> list[str]:
    return [
        f'<path class="grid" d="M{x.at(mark)} {top}V{bottom}"/>'
        f'<text x="{x.at(mark)}" y="{bottom + 18}" text-anchor="middle">{mark:g}</text>'
        for mark in marks
    ]


def _mark(number: int, x: str, y: float) -> str:
    """A ring for the first series, a square for the second, a triangle for others."""
    if number == 0:
        return f'<circle class="ring s0" cx="{x}" cy="{y:.1f}" r="5.5"/>'
    shape = "M-5-5h10v10h-10z" if number == 1 else "M0-6l6 11h-12z"
    return f'<path class="mark s{number}" transform="translate({x} {y:.1f})" d="{shape}"/>'


def _legend(names: Sequence[str], lines: bool) -> list[str]:
    parts, x = [], WIDTH - RIGHT
    for number, name in reversed(list(enumerate(names))):
        x -= 7 * len(name) + 44
        sign = f'<path class="line s{number}" d="M{x} 16h24"/>' if lines else _mark(number, f"{x + 12}", 16)
        parts.append(f'{sign}<text x="{x + 30}" y="20">{_text(name)}</text>')
    return parts


def _svg(key: str, title: str, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg role="img" aria-labelledby="{key}" viewBox="0 0 {WIDTH} {height:g}">'
        f'<title id="{key}">{_text(title)}</title>{"".join(parts)}</svg>'
    )


def _text(text: str) -> str:
    return html.escape(text)
