"""Asks one product every question and writes the answers down as JSON: ``ask.py PRODUCT FILE``."""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.compat.product import QUESTIONS, Product, answer
else:  # they lie beside this program
    from product import QUESTIONS, Product, answer

HERE = Path(__file__).parent


if __name__ == "__main__":
    # KerasTuner asks again at once when there is nothing to run: a question that
    # never ends should say which one it is.
    faulthandler.dump_traceback_later(150, exit=True)
    name, path = sys.argv[1:]
    for module in sorted(HERE.glob("questions_of_*.py")):
        importlib.import_module(module.stem)  # importing it registers its questions
    product = Product(name)
    answers = {key: answer(product, ask) for key, ask in QUESTIONS.items()}
    Path(path).write_text(json.dumps(answers, indent=1))
