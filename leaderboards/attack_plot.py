"""ROC curves of membership attacks on logarithmic axes, where few false accusations can be seen."""

from __future__ import annotations

import io
from itertools import cycle

from ..errors import MissingExtraError
from ..metrics import roc_curve
from .attack_report import LIRA, Attacked, AttackReport
from .fonts import no_word_of_fonts
from .markdown import plain

MOST_GROUPS, MOST_PANELS = 9, 24


def roc_figure(report: AttackReport) -> str:
    """The curves as one svg: a panel for each target, LiRA where there is one, all examples and each group.

    Args:
        report: from :func:`groupgap.leaderboards.attack_report.build_report`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a drawing of the ROC curves", "matplotlib", "figures") from error
    drawable = [one for one in report.attacked if one.scores is not None and _best(one, report)]
    shown = drawable[:MOST_PANELS]
    columns = min(3, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    # names come from runs: no mathematical mode for a dollar sign, and the same bytes for the same report
    settings = {"text.parse_math": False, "svg.hashsalt": "groupgap", "svg.fonttype": "none"}
    with mpl.rc_context(settings), no_word_of_fonts():  # a viewer draws the letters with its own fonts
        figure = Figure(figsize=(4.6 * columns, 4.4 * rows), layout="constrained")
        FigureCanvasSVG(figure)
        for place, one in enumerate(shown):
            _panel(figure.add_subplot(rows, columns, place + 1), one)
        if len(shown) < len(drawable):
            figure.supxlabel(f"the first {len(shown)} of {len(drawable):,} targets; all are in attack.csv", fontsize=9)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _best(one: Attacked, report: AttackReport) -> bool:
    """LiRA where the target has it, the loss attack elsewhere."""
    names = {other.attack for other in report.attacked if other.audit is one.audit and other.scores is not None}
    return one.attack == LIRA or LIRA not in names


def _panel(axes: object, one: Attacked) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    assert one.scores is not None
    assert one.overall is not None
    axes.set_title(f"{plain(one.audit.target)[:60]}, {one.attack}", fontsize=9)
    if one.overall.overall.auc.value is None:
        axes.text(0.5, 0.5, f"undefined: {one.overall.overall.auc.reason}", ha="center", fontsize=8)
        axes.set_axis_off()
        return
    least = 1 / max(2, int((~one.audit.member).sum()))
    curves = [("all", one.scores[one.audit.member], one.scores[~one.audit.member])]
    for axis, judgement in one.axes.items():
        matrix, names = one.audit.membership(axis)
        for column, name in enumerate(names):
            inside = matrix[:, column]
            if judgement.groups[name].own.auc.value is not None and len(curves) <= MOST_GROUPS:
                curves.append(
                    (f"{axis}: {name}", one.scores[inside & one.audit.member], one.scores[inside & ~one.audit.member])
                )
    axes.plot([least, 1], [least, 1], color="0.6", linewidth=1, linestyle=":")
    for (label, members, nonmembers), style in zip(curves, cycle(("-", "--", "-.")), strict=False):
        curve = roc_curve(members, nonmembers)
        axes.step(curve.fpr, curve.tpr, where="post", label=plain(label)[:40], linestyle=style, linewidth=1.2)
    axes.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1))
    for one_axis in (axes.xaxis, axes.yaxis):  # its own labels of powers are in the mathematical mode
        one_axis.set_major_formatter("{x:g}")
        one_axis.set_minor_formatter("")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(fontsize=6, loc="lower right")
