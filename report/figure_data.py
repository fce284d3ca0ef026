"""What a page offers beside each figure: its numbers, its runs, and its layout for a phone.

`make book` asks for them by ACCEL_FIGURE_DATA: a figure's output then holds them beside the image,
and the book's Sphinx extension takes them out. Stored outputs lack them.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from IPython.core.formatters import BaseFormatter, DisplayFormatter
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

from report import record

__all__ = ["NUMBERS", "PHONE", "RUNS", "data", "for_phone", "register", "runs", "shows", "summary"]

#: The kind of output that holds a figure's numbers.
NUMBERS = "text/csv"
#: The kind of output that holds a figure's runs.
RUNS = "text/x-accel-runs"
#: The kind of output that holds its layout for a phone.
PHONE = "image/x-phone-svg"
PHONE_WIDTH, PHONE_PIXELS, LEGIBLE = 4.0, 328, 9  # inches; its column on a phone of 360; px
RECORD = "the record"
# columns of no specification
OWN = ["key", "kept in", "computed", "core seconds", "machine", "versions"]
LISTED = 8  # so many values are listed, of more the first and the last


def register(display: DisplayFormatter) -> None:
    """From now on what `display` shows of a figure holds its numbers and runs, as CSV, and its
    layout for a phone, as SVG."""
    parts = {
        NUMBERS: lambda figure: data(figure).to_csv(index=False),
        RUNS: lambda figure: runs(figure).to_csv(index=False),
        PHONE: for_phone,
    }
    for kind, part in parts.items():
        own = {"format_type": kind, "print_method": "_part_"}
        formatter = type("Part", (BaseFormatter,), own)()
        formatter.for_type(Figure, part)
        display.formatters[kind] = formatter


def for_phone(figure: Figure) -> str:
    """The figure as SVG for a narrow screen: its panels, as they are, below each other, row by row;
    column by column, and as high as they are, where the rows' heights differ."""
    places = {axes: axes.get_subplotspec() for axes in figure.axes if axes.get_subplotspec()}
    size = figure.get_size_inches().copy()
    grids = [place.get_gridspec() for place in places.values()]
    ratios = grids[0].get_height_ratios() if grids else [1]
    heights = [max(size[1] / max((it.nrows for it in grids), default=1), 2.6)] * max(len(places), 1)
    if len(set(ratios)) > 1:
        places = dict(sorted(places.items(), key=lambda it: (it[1].colspan.start, it[1].num1)))
        heights = [size[1] * ratios[it.rowspan.start] / sum(ratios) for it in places.values()]
    stack = GridSpec(len(heights), 1, figure=figure, height_ratios=heights)
    smallest = min((it.get_fontsize() for it in figure.findobj(Text) if it.get_text()), default=8)
    width = min(PHONE_WIDTH, smallest * PHONE_PIXELS / LEGIBLE / 72)  # all text is then legible
    # what a panel reads off its neighbour it cannot read off the one above
    unlabelled = [
        axes
        for axes in places
        if len(axes.get_shared_y_axes().get_siblings(axes)) > 1
        and not axes.yaxis.get_tick_params().get("labelleft", True)
    ]
    try:
        for axes in unlabelled:
            axes.tick_params(labelleft=True)
        for place, axes in zip(stack, places, strict=False):
            axes.set_subplotspec(place)
        figure.set_size_inches(width, sum(heights))
        out = io.StringIO()
        figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    finally:
        for axes, place in places.items():
            axes.set_subplotspec(place)
        for axes in unlabelled:
            axes.tick_params(labelleft=False)
        figure.set_size_inches(size)
    return out.getvalue()


def shows(figure: Figure, keys: Iterable[str]) -> None:
    """Notes that the figure shows the runs of these record keys."""
    figure.record_keys = list(dict.fromkeys([*getattr(figure, "record_keys", ()), *keys]))


def runs(figure: Figure) -> pd.DataFrame:
    """The recorded runs that a figure shows, one a row: key, specification, when computed, on what
    machine, with which versions, in how many core-seconds. Runs kept nowhere are left out."""
    keys = getattr(figure, "record_keys", ())
    kept = record.committed().find(keys)
    found = kept | record.personal().find(key for key in keys if key not in kept)
    lines = []
    for row in found.values():
        made, spec = row.provenance, row.spec
        shard = made.get("seconds_of_shard", np.nan) / made.get("runs_of_shard", 1)
        plain = {name: value for name, value in spec.items() if name not in ("problem", "run")}
        lines.append(
            {"key": row.key, "kept in": RECORD if row.key in kept else "this machine's cache"}
            | {**spec.get("problem", {}), **spec.get("run", {}), **plain}
            | {
                "computed": made["when"], "core seconds": made.get("seconds", shard),
                "machine": made["machine"],
                "versions": ", ".join(f"{n} {v}" for n, v in sorted(made["versions"].items())),
            }
        )  # fmt: skip
    return pd.DataFrame(lines, columns=None if lines else OWN)


def summary(table: pd.DataFrame) -> dict[str, str]:
    """The runs of a figure in few lines, by name: how many, their settings, how they were made."""
    if table.empty:
        return {"runs": "computed on this page"}
    keys = [f"`{key}`" for key in table.key[:3]] + ["…"] * (len(table) > 3)
    made = pd.to_datetime(table.computed).dt.strftime("%Y-%m-%d")
    places = table["kept in"].value_counts()
    where = ", ".join(f"{count} from {place}" for place, count in places.items())
    lines = {"runs": where, "record keys": ", ".join(keys)}
    for name in table.columns.difference(OWN, sort=False):
        values = table[name].dropna().unique()
        if len(values):
            lines[name.replace("_", " ")] = _harmless(_listed(values))
    lines["computed"] = " to ".join(dict.fromkeys((made.min(), made.max())))
    if (seconds := table["core seconds"]).notna().all():
        lines["cost"] = f"{seconds.sum() / 60:.3g} core-minutes"
    told = {name: "; ".join(table[name].unique()) for name in ("machine", "versions")}
    return lines | {name: _harmless(text) for name, text in told.items()}


def _harmless(text: str) -> str:
    """What a record says, as a page may show it: no markup of its own, on one line."""
    line = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`\[\]{}|])", r"\\\1", line)


def _listed(values: np.ndarray) -> str:
    if all(isinstance(value, int | float | np.number) for value in values):
        words = [f"{value:,.10g}" for value in sorted(values)]
    else:
        words = sorted(map(str, values))
    if len(words) <= LISTED:
        return ", ".join(words)
    return f"{words[0]} … {words[-1]} ({len(words)} values)"


def _label(artist: Artist, end: np.ndarray) -> str:
    """What tells an artist of a panel, whose last point has this y, from the others."""
    if (own := str(artist.get_label())) and not own.startswith("_"):
        return own
    if isinstance(artist, Line2D):
        colour, style = artist.get_color(), artist.get_linestyle()
    else:
        colour, style = getattr(artist, "get_facecolor", lambda: "none")(), "-"
    colours = to_rgba_array(colour)
    if not len(colours) or len(np.unique(colours, axis=0)) > 1:
        return ""
    name = to_hex(colours[0])
    beside = {
        text.xy[1]: text.get_text()
        for text in artist.axes.findobj(Annotation)
        if text.get_text() and to_hex(text.get_color()) == name
    }
    if beside and len(end):
        name = beside[min(beside, key=lambda y: abs(y - end[0]))]
    return name if style in ("-", "None") else f"{name} ({style})"


def data(figure: Figure) -> pd.DataFrame:
    """What a figure shows, to six digits: panel, kind (line, points, band, bar, cell), label, x, y
    and, for cells, value. A band is the polygon around it. What has no label of its own has the
    one that stands nearest to its end in its colour, or else its colour."""
    rows = []

    def add(panel, kind, artist, x, y, value=None):
        label = _label(artist, np.asarray(y, float)[-1:])
        values = np.full(np.shape(x), np.nan) if value is None else value
        rows.extend((panel, kind, label, *numbers) for numbers in zip(x, y, values, strict=True))

    for number, axes in enumerate(figure.axes, start=1):
        panel = axes.get_title() or axes.get_ylabel() or f"panel {number}"
        for line in axes.lines:
            if line.get_transform() == axes.transData:  # a rule across the panel is no data
                add(panel, "line", line, *map(np.asarray, line.get_data(orig=False)))
        for each in axes.collections:
            if isinstance(each, PathCollection):
                add(panel, "points", each, *np.asarray(each.get_offsets()).T)
            elif isinstance(each, QuadMesh):
                corners = each.get_coordinates()
                middle = (corners[:-1, :-1] + corners[1:, 1:]) / 2
                value = np.ma.filled(np.ma.asarray(each.get_array(), float), np.nan)
                add(panel, "cell", each, *middle.reshape(-1, 2).T, value.ravel())
            else:
                kind = "line" if isinstance(each, LineCollection) else "band"
                for path in each.get_paths():
                    add(panel, kind, each, *path.vertices.T)
        for bar in (patch for patch in axes.patches if isinstance(patch, Rectangle)):
            add(panel, "bar", bar, [bar.get_x() + bar.get_width() / 2],
                [bar.get_y() + bar.get_height()])  # fmt: skip
        for image in axes.images:
            values = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
            if values.ndim == 2:
                y, x = np.indices(values.shape)
                add(panel, "cell", image, x.ravel(), y.ravel(), values.ravel())
    table = pd.DataFrame(rows, columns=["panel", "kind", "label", "x", "y", "value"])
    for name in ("x", "y", "value"):
        table[name] = [f"{v:.6g}" if np.isfinite(v) else "" for v in table[name].astype(float)]
    return table if (table.value != "").any() else table.drop(columns="value")
