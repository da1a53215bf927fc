"""The README's figures from the browser tests' screenshots: fewer colours, no wider than needed.

GPUAGENT_SCREENSHOTS=shots python -m pytest tests/browser && python -m tests.support.screenshots shots
"""

import sys
from pathlib import Path

from PIL import Image

FIGURES = {"approval.png": "console.png", "delivered-light-1440.png": "delivered.png", "form.png": "launch.png"}
COLOURS, WIDEST = 224, 1120


def main(screenshots: Path, docs: Path = Path("docs")) -> None:
    for shot, figure in FIGURES.items():
        with Image.open(screenshots / shot) as image:
            image.thumbnail((WIDEST, WIDEST * 4))
            image.convert("RGB").quantize(COLOURS).save(docs / figure, optimize=True)
        print(f"{docs / figure}: {(docs / figure).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
