"""The trie of choices against brute force: every choice alone, over the whole vocabulary."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from groupgap.errors import GroupgapError
from groupgap.plugins.choice_trie import ChoiceTrie, NextToken, Question, fit_context, questions
from hypothesis import given
from hypothesis import strategies as st

VOCABULARY = 6
choice_lists = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=4).map(tuple), min_size=1, max_size=8
)
contexts = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=6)


def distribution(prefix: Sequence[int]) -> list[float]:
    """A language model without a model: log-probabilities that depend on the whole prefix, with ties."""
    weights = [random.Random(f"{tuple(prefix)}:{token}").choice([1.0, 2.0, 2.0, 5.0]) for token in range(VOCABULARY)]
    return [math.log(weight / sum(weights)) for weight in weights]


def brute_force(context: Sequence[int], choice: Sequence[int]) -> tuple[float, bool]:
    """Score one choice by itself."""
    total, greedy = 0.0, True
    for depth, token in enumerate(choice):
        logprobs = distribution([*context, *choice[:depth]])
        total += logprobs[token]
        greedy = greedy and logprobs[token] == max(logprobs)
    return total, greedy


def ask_model(question: Question, limit: int) -> list[tuple[float, bool]]:
    """Answer a question as an engine does: only the ids that were asked."""
    asks = list(question.asks(limit))
    assert all(1 <= len(ask.ids) <= limit for ask in asks)
    answers = []
    for ask in asks:
        logprobs = distribution(ask.prompt)
        answers.append(NextToken({token: logprobs[token] for token in ask.ids}, max(logprobs)))
    return [(score.logprob, score.greedy) for score in question.score(asks, answers)]


@given(contexts, choice_lists, st.integers(1, VOCABULARY))
def test_the_trie_scores_as_each_choice_alone(context: list[int], choices: list[tuple[int, ...]], limit: int) -> None:
    question = Question(tuple(context), ChoiceTrie.of(choices), tuple(range(len(choices))))
    assert ask_model(question, limit) == [brute_force(context, choice) for choice in choices]


@given(choice_lists)
def test_one_inner_node_for_each_proper_prefix(choices: list[tuple[int, ...]]) -> None:
    prefixes = {choice[:depth] for choice in choices for depth in range(len(choice))}
    trie = ChoiceTrie.of(choices)
    assert {node.path for node in trie.nodes} == prefixes
    assert len(trie.nodes) == len(prefixes)
    for node in trie.nodes:
        followers = {choice[len(node.path)] for choice in choices if choice[: len(node.path)] == node.path != choice}
        assert set(node.children) == followers
        assert list(node.children) == sorted(followers)


@given(choice_lists, st.randoms())
def test_order_and_repetition_change_nothing(choices: list[tuple[int, ...]], shuffler: random.Random) -> None:
    again = [*choices, choices[0]]
    shuffler.shuffle(again)
    assert ChoiceTrie.of(again).nodes == ChoiceTrie.of(choices).nodes


def test_single_tokens_are_one_request() -> None:
    (question,) = questions([((1, 2), (5,)), ((1, 2), (6,)), ((1, 2), (5,))], window=8)
    (ask,) = question.asks(limit=128)
    assert (ask.prompt, ask.ids) == ((1, 2), (5, 6))
    assert question.places == (0, 1, 2)


def test_a_choice_that_begins_another_stops_earlier() -> None:
    answers = {(): NextToken({5: -1.0}, -0.5), (5,): NextToken({6: -2.0}, -2.0)}
    short, long = ChoiceTrie.of([(5,), (5, 6)]).score(answers)
    assert (short.logprob, short.greedy) == (-1.0, False)
    assert (long.logprob, long.greedy) == (-3.0, False)


def test_a_missing_answer_is_not_a_number() -> None:
    with pytest.raises(KeyError):
        ChoiceTrie.of([(5,), (6,)]).score({(): NextToken({5: -1.0}, -1.0)})


def test_a_choice_without_tokens_is_refused() -> None:
    with pytest.raises(GroupgapError, match="adds no token"):
        ChoiceTrie.of([(5,), ()])


@given(
    st.lists(st.tuples(contexts, st.lists(st.integers(0, 5), min_size=1, max_size=4)), min_size=1, max_size=10),
    st.integers(5, 9),
)
def test_contexts_are_cut_as_lm_eval_cuts_them(requests: list[tuple[list[int], list[int]]], window: int) -> None:
    """lm-eval keeps the last ``window`` tokens of context + choice (vllm_causallms.py, _loglikelihood_tokens)."""
    found = questions(requests, window)
    assert sorted(place for question in found for place in question.places) == list(range(len(requests)))
    for question in found:
        for place, choice in zip(question.places, question.trie.choices, strict=True):
            theirs = (requests[place][0] + requests[place][1])[-window:]
            assert [*question.context, *choice] == theirs
            assert list(choice) == requests[place][1]
    assert len({question.context for question in found}) == len(found)


def test_choices_of_unequal_length_may_read_different_contexts() -> None:
    found = questions([((1, 2, 3), (7,)), ((1, 2, 3), (7, 8))], window=3)
    assert [question.context for question in found] == [(2, 3), (3,)]


def test_a_choice_that_fills_the_window_is_refused_not_cut() -> None:
    assert fit_context((1, 2), (7, 8), window=3) == (2,)
    with pytest.raises(GroupgapError, match="2 tokens leaves no room for its context in a window of 2"):
        fit_context((1, 2), (7, 8), window=2)
