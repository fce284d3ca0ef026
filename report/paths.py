"""Where the clone keeps what this report is made of; no other module spells a path into it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = ROOT / "notebooks"
RECORD = BOOK / "record"  # the committed record
DATA = BOOK / "data"  # small tables that the report keeps: moments, summaries, measured speeds
PRINTED = BOOK / "reference" / "paper_curves.csv"  # the paper's printed curves, as numbers
WORDS = BOOK / "claims"  # every claim in words: source, place, sentence, what its criterion asks
