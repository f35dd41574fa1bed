"""python -m charts: draws docs/performance/*.svg again from the recorded results."""

import json

from charts.drawings import all_charts
from charts.source import source
from charts.style import svg
from compare.paths import CHARTS, RECORDED


def main() -> None:
    CHARTS.mkdir(parents=True, exist_ok=True)
    for name, drawn in all_charts(json.loads(RECORDED.read_text())).items():
        (CHARTS / f"{name}.svg").write_text(svg(drawn, source()))


if __name__ == "__main__":
    main()
