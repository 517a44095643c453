"""Writes country-currency.csv and confusables.csv of features/edge/lists, which come with the build.

    pip install babel==2.19.0 confusable-homoglyphs==3.3.1
    python scripts/edge_lists.py DATE

DATE (2026-11-27) is the day of which the currencies are. Both are Unicode's data (see unicode.LICENSE), made smaller.
"""

import csv
import datetime
import importlib.metadata
import importlib.resources
import json
import pathlib
import sys
import unicodedata

from babel import Locale
from babel.numbers import get_territory_currencies

here = pathlib.Path(__file__).parent.parent / "features" / "edge" / "lists"


def write(name, comment, header, rows):
    with open(here / name, "w", encoding="utf-8", newline="") as out:
        for line in comment:
            out.write(f"# {line}\n")
        table = csv.writer(out, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
    print(f"{name}: {len(rows)} rows")


def currencies(day):
    """What is legal tender, of every country and territory with a code of two letters."""
    rows = []
    for code in sorted(Locale("en").territories):
        if len(code) == 2 and code.isascii() and code.isalpha() and (tender := get_territory_currencies(code, day)):
            rows.append((code, " ".join(tender)))
    return rows


def folded(text):
    return unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())


def confusables():
    """Characters whose prototype is Latin letters or digits, each as it is after folding. Where a small letter and its capital
    are taken for different letters, the small one's says."""
    data = json.loads(importlib.resources.files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8"))
    latin = {c for c in data if c.isascii() and c.isalnum()}
    found = {}
    for prototype in sorted(latin):
        for other in data[prototype]:
            source = other["c"]
            key = folded(source)
            if len(source) != 1 or len(key) != 1 or key.isascii() or unicodedata.category(key)[0] not in "LN":
                continue
            small = key == source
            if key not in found or (small and not found[key][1]):
                found[key] = (prototype.casefold(), small)
    return [(f"{ord(key):04X}", to, unicodedata.name(key)) for key, (to, _) in sorted(found.items())]


def main():
    day = datetime.date.fromisoformat(sys.argv[1])
    version = importlib.metadata.version
    write("country-currency.csv", [f"Legal tender on {day}, of CLDR as in babel {version('babel')} (scripts/edge_lists.py)."],
          ("country", "currencies"), currencies(day))
    write("confusables.csv", [f"Of confusables.txt (Unicode TS 39) as in confusable-homoglyphs {version('confusable-homoglyphs')} (scripts/edge_lists.py)."],
          ("code", "latin", "name"), confusables())


if __name__ == "__main__":
    main()
