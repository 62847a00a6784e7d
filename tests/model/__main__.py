"""Searches by hand: `python -m tests.model` what every test run searches, `--large` more (minutes, 3 GB of memory),
`--write` also puts what is found into docs/model.md."""

from __future__ import annotations

import argparse
import sys
import time

from tests.model.document import Part, histories, table, told
from tests.model.protocol import Protocol
from tests.model.scope import Scope
from tests.model.scopes import LARGE, USUAL
from tests.model.search import Outcome, Search
from tests.model.variants import found


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.model", description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    parts = {"usual": USUAL, "large": LARGE} if options.large else {"usual": USUAL}
    for name, scopes in parts.items():
        outcomes = [(scope, _searched(scope)) for scope in scopes]
        if any(outcome.history for _, outcome in outcomes):
            return 1
        if options.write:
            Part(name).write(table(outcomes))
    text = histories(found())
    print(text)
    if options.write:
        Part("histories").write(text)
    return 0


def _searched(scope: Scope) -> Outcome:
    began = time.process_time()
    outcome = Search(Protocol(scope), strict=True).run()
    seconds = time.process_time() - began
    print(f"{outcome.states:9,} states, {outcome.steps:10,} steps, {seconds:5.1f} s: {scope.name}", flush=True)
    if outcome.history:
        print(told(outcome.history))
    return outcome


if __name__ == "__main__":
    sys.exit(main())
