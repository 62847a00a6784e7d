"""The protocol keeps its promise in every order of events, and each of its rules is needed (docs/model.md)."""

from __future__ import annotations

import os
from dataclasses import fields
from functools import cache

import pytest

from tests.model.document import Part, histories, table
from tests.model.protocol import Protocol
from tests.model.rules import AGREED, Rules
from tests.model.scope import Scope
from tests.model.scopes import LARGE, USUAL
from tests.model.search import Outcome, Search
from tests.model.variants import LIMIT, VARIANTS, Variant, found

pytestmark = pytest.mark.unit

SCOPES = {"usual": USUAL, "large": LARGE} if os.environ.get("CDC_TEST_MODEL") == "large" else {"usual": USUAL}


@cache
def searched(scope: Scope) -> Outcome:
    return Search(Protocol(scope), strict=True).run()


@pytest.mark.parametrize(
    "scope", [scope for scopes in SCOPES.values() for scope in scopes], ids=lambda scope: scope.name
)
def test_nothing_is_lost_doubled_reordered_or_stuck_and_every_invariant_holds(scope: Scope) -> None:
    history = searched(scope).history
    assert history is None, histories([(Variant("found", AGREED, scope, ""), history)])


@pytest.mark.parametrize("name", SCOPES)
def test_the_documentation_says_how_much_was_searched(name: str) -> None:
    assert Part(name).read() == table([(scope, searched(scope)) for scope in SCOPES[name]])


@pytest.mark.parametrize("variant", [*VARIANTS, LIMIT], ids=lambda variant: variant.title)
def test_a_protocol_without_one_of_its_rules_is_found_out(variant: Variant) -> None:
    """And it is that rule: with it, the same scope has nothing."""
    history = variant.searched().history
    assert history is not None, "nobody would miss this rule"
    assert history.wrong.startswith(variant.ends)
    assert searched(variant.scope).history is None


def test_every_rule_is_broken_once() -> None:
    broken = [
        rule.name for variant in (*VARIANTS, LIMIT) for rule in fields(Rules) if getattr(variant.rules, rule.name)
    ]
    assert sorted(broken) == sorted(rule.name for rule in fields(Rules))


def test_the_documented_histories_are_what_the_search_finds_now() -> None:
    assert Part("histories").read() == histories(found()), "run: python -m tests.model --write"


def test_every_kind_of_step_comes_up_in_some_scope() -> None:
    """A search in which no lease is ever lost would find nothing wrong with its loss."""
    seen = {word for scope in USUAL for word in searched(scope).words}
    words = (
        "again begin claim clock commit die grant join kill land late_commit leave lose lost part pause raise refuse "
        "release restamp restart resume send settle tick unclear"
    )
    assert seen == {word.replace("_", " ") for word in words.split()}
