"""The chart: server CPU per I/O as an SVG of horizontal bars. Every cell is a panel with a scale of its own."""
from xml.sax.saxutils import escape

COLOURS = {"iscsicored-glommio": "#1b6ca8", "iscsicored-tokio": "#5aa9e6", "tgt": "#8a8a8a", "istgt": "#b9b9b9",
           "echo-glommio": "#d9952b", "echo-tokio": "#edc078", "echo-std": "#f5deb3"}
WIDTH, LEFT, BAR, GAP, HEAD = 900, 170, 16, 4, 26
LENGTH = WIDTH - LEFT - 190  # of the longest bar; its label stands behind it


def chart(found, subtitle):
    """The SVG as text."""
    panels = {}
    for result in found:
        panels.setdefault(result["title"], []).append(result)
    parts, y = [], 66
    for title, results in panels.items():
        parts += panel(title, results, y)
        y += HEAD + len(results) * (BAR + GAP) + 14
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 6}" viewBox="0 0 {WIDTH} {y + 6}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{y + 6}" fill="white"/>',
        text(16, 28, "Server CPU per I/O in microseconds (shorter is better)", 18, weight="bold"),
        text(16, 48, subtitle, 12, colour="#555"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def panel(title, results, y):
    """One cell: its bars with the median, whiskers from the smallest to the largest, and the ratio to tgt."""
    longest = max(result["server_us"]["high"] for result in results) or 1.0
    parts = [text(16, y + 15, title, 13, weight="bold")]
    for index, result in enumerate(results):
        top, spread = y + HEAD + index * (BAR + GAP), result["server_us"]
        middle, (low, median, high) = top + BAR / 2, (LENGTH * spread[key] / longest for key in ("low", "median", "high"))
        name = result["target"]
        parts.append(text(LEFT - 8, top + 12, name, 12, anchor="end"))
        parts.append(f'<rect x="{LEFT}" y="{top}" width="{max(median, 1):.1f}" height="{BAR}" fill="{COLOURS.get(name, "#777")}"/>')
        if high - low > 1:
            left, right = f"{LEFT + low:.1f}", f"{LEFT + high:.1f}"
            parts.append(f'<path d="M{left} {middle}H{right}M{left} {middle - 4}v8M{right} {middle - 4}v8" stroke="#222" fill="none"/>')
        parts.append(text(LEFT + max(median, high) + 8, top + 12, label(result), 12))
    return parts


def label(result):
    """The median, and what it is of tgt's and of the echo's."""
    ratios = [f"{spread['median']:.2f}x {key.rpartition(' / ')[2]}" for key, spread in result["ratios"].items() if key.startswith("server_us")]
    return f"{result['server_us']['median']:.2f}" + (f" ({', '.join(ratios)})" if ratios else "")


def text(x, y, words, size, anchor="start", weight="normal", colour="#111"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">{escape(words)}</text>'
