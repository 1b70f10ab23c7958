"""Colours, fonts and the style sheet."""

from string import Template

COLOURS = {
    "window": "#0e1116",
    "card": "#161b23",
    "edge": "#232b36",
    "text": "#e6ebf2",
    "muted": "#8492a6",
    "teal": "#2dd4bf",
    "violet": "#a78bfa",
    "amber": "#fbbf24",
    "rose": "#fb7185",
    "green": "#4ade80",
}

SANS = ["Inter", "Segoe UI", "SF Pro Text", "Cantarell", "Noto Sans", "DejaVu Sans"]
MONO = ["JetBrains Mono", "Cascadia Mono", "SF Mono", "Menlo", "Noto Sans Mono", "DejaVu Sans Mono"]

_SHEET = Template("""
* { font-family: $sans; font-size: 13px; color: $text; }
QWidget#window { background: $window; }
QFrame#card { background: $card; border: 1px solid $edge; border-radius: 10px; }
QLabel#title { font-size: 24px; font-weight: 700; }
QLabel#clock { font-size: 24px; font-weight: 300; }
QLabel#number { font-size: 30px; font-weight: 600; }
QLabel#unit, QLabel#caption, QLabel#subtitle, QLabel#versions { color: $muted; }
QLabel#heading { font-weight: 600; }
QLabel#status { color: $muted; font-size: 12px; }
QLabel#status[status="running"] { color: $green; }
QLabel#status[status="cancelling"] { color: $amber; }
QLabel#status[status="failed"] { color: $rose; }
QPushButton {
    background: transparent; border: 1px solid $edge; border-radius: 6px;
    padding: 4px 12px; font-size: 12px;
}
QPushButton:hover { border-color: $muted; }
QPushButton:pressed { background: $edge; }
QPushButton#primary {
    background: $teal; border-color: $teal; color: $window; font-size: 13px; font-weight: 600;
    padding: 8px 20px;
}
QPushButton#primary:hover { background: $text; border-color: $text; }
QPlainTextEdit {
    background: transparent; border: none; font-family: $mono; font-size: 12px; color: $muted;
}
QScrollBar:vertical { background: transparent; width: 8px; }
QScrollBar::handle:vertical { background: $edge; border-radius: 4px; min-height: 24px; }
QScrollBar::add-line, QScrollBar::sub-line { height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QSlider::groove:horizontal { background: $edge; height: 4px; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $teal; height: 4px; border-radius: 2px; }
QSlider::handle:horizontal {
    background: $text; width: 14px; height: 14px; margin: -5px 0; border-radius: 7px;
}
""")


def _families(names: list[str], generic: str) -> str:
    return ", ".join([*(f'"{name}"' for name in names), generic])


STYLE = _SHEET.substitute(
    COLOURS, sans=_families(SANS, "sans-serif"), mono=_families(MONO, "monospace")
)
