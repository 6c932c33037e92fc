"""The token sequences of a document's choices as a trie: what to ask a model, and how its answers add up.

Every inner node is one question: given the context and the tokens on the way to the node, how probable is each of the
node's next tokens? A choice's log-probability is the sum along its path. Choices of one token (" yes", " no"; A to D in
most vocabularies) have one inner node, the root: one prefill of the context answers them all, and no logits of the
prompt's own positions are needed. Pure Python: it knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import GroupgapError

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class InnerNode:
    """A place in the trie from which some choice goes on.

    Attributes:
        path: the tokens from the end of the context to the node; ``()`` is the root.
        children: the tokens by which the choices go on, ascending, each once.
    """

    path: Tokens
    children: Tokens


@dataclass(frozen=True)
class NextToken:
    """A model's answer at one inner node.

    Attributes:
        logprobs: natural log-probability by token, over the whole vocabulary; the node's children at least.
        best: the largest log-probability of the whole vocabulary, asked or not.
    """

    logprobs: Mapping[int, float]
    best: float


@dataclass(frozen=True)
class ChoiceScore:
    """The score of a choice.

    Attributes:
        logprob: natural log-probability of all its tokens after the context.
        greedy: at every step no token of the vocabulary is more probable than the choice's own, so a greedy decoder
            that breaks ties in its favour says this choice word for word. It is not "the best of the choices".
    """

    logprob: float
    greedy: bool


@dataclass(frozen=True)
class ChoiceTrie:
    """The choices of one context.

    Attributes:
        choices: their tokens; equal ones and one that begins another are allowed, an empty one is not.
        nodes: the inner nodes, a parent before its children.
    """

    choices: tuple[Tokens, ...]
    nodes: tuple[InnerNode, ...]

    @classmethod
    def of(cls, choices: Sequence[Sequence[int]]) -> ChoiceTrie:
        """Build the trie.

        Raises:
            GroupgapError: a choice without a token has no probability.

        >>> [node.path for node in ChoiceTrie.of([[7, 1], [7, 2], [9]]).nodes]
        [(), (7,)]
        """
        children: dict[Tokens, set[int]] = {}
        for choice in choices:
            if not choice:
                raise GroupgapError(
                    "a choice adds no token to its context, so it has no probability: give every choice a text of its"
                    " own (doc_to_choice)"
                )
            for depth, token in enumerate(choice):
                children.setdefault(tuple(choice[:depth]), set()).add(token)
        nodes = (InnerNode(path, tuple(sorted(tokens))) for path, tokens in children.items())
        return cls(tuple(map(tuple, choices)), tuple(sorted(nodes, key=lambda node: (len(node.path), node.path))))

    def score(self, answers: Mapping[Tokens, NextToken]) -> list[ChoiceScore]:
        """Add the answers along the path of each choice.

        Args:
            answers: the answer at each inner node, by the node's path.

        Returns:
            One score a choice, in the order of ``choices``.

        Raises:
            KeyError: a node or one of its children has no answer.
        """
        scores = []
        for choice in self.choices:
            logprob, greedy = 0.0, True
            for depth, token in enumerate(choice):
                answer = answers[choice[:depth]]
                logprob += answer.logprobs[token]
                greedy = greedy and answer.logprobs[token] >= answer.best
            scores.append(ChoiceScore(logprob, greedy))
        return scores


@dataclass(frozen=True)
class Ask:
    """One request to the engine: the log-probabilities of some next tokens after a prompt.

    Attributes:
        prompt: context and path.
        ids: the next tokens, at most the engine's limit.
        path: the inner node that it belongs to.
    """

    prompt: Tokens
    ids: Tokens
    path: Tokens


@dataclass(frozen=True)
class Question:
    """A context and the choices asked about it.

    Attributes:
        context: the tokens that the model reads, already cut to its window; never empty.
        trie: the choices.
        places: for each choice of the trie, its place in the caller's list.
    """

    context: Tokens
    trie: ChoiceTrie
    places: tuple[int, ...]

    def asks(self, limit: int) -> Iterator[Ask]:
        """Yield the engine's requests: one an inner node, or more where a node has more children than ``limit``."""
        for node in self.trie.nodes:
            for start in range(0, len(node.children), limit):
                yield Ask(self.context + node.path, node.children[start : start + limit], node.path)

    def score(self, asks: Sequence[Ask], answers: Sequence[NextToken]) -> list[ChoiceScore]:
        """Put the answers to :meth:`asks` together again.

        Args:
            asks: all of this question's requests.
            answers: one answer a request, in the same order.
        """
        logprobs: dict[Tokens, dict[int, float]] = {}
        best: dict[Tokens, float] = {}
        for ask, answer in zip(asks, answers, strict=True):
            logprobs.setdefault(ask.path, {}).update(answer.logprobs)
            best[ask.path] = max(answer.best, best.get(ask.path, answer.best))
        return self.trie.score({path: NextToken(logprobs[path], best[path]) for path in logprobs})


def fit_context(context: Sequence[int], choice: Sequence[int], window: int) -> Tokens:
    """Cut a context from the left until it fits into the window together with a choice, as lm-eval does.

    Args:
        context: tokens of the context; at least one.
        choice: tokens of the choice, never cut.
        window: most tokens of context and choice together.

    Raises:
        GroupgapError: the choice alone leaves no room for a token of context.

    >>> fit_context([1, 2, 3, 4], [8, 9], window=5)
    (2, 3, 4)
    """
    room = window - len(choice)
    if room < 1:
        raise GroupgapError(
            f"a choice of {len(choice)} tokens leaves no room for its context in a window of {window}: raise"
            " max_model_len or shorten the choice"
        )
    return tuple(context[-room:])


def questions(requests: Sequence[tuple[Sequence[int], Sequence[int]]], window: int) -> list[Question]:
    """Group (context, choice) pairs by the context that the model will read.

    A choice longer than its neighbours may cut its context shorter; it then makes a question of its own, so that every
    choice is scored after exactly the context that lm-eval's own backend gives it.

    Args:
        requests: token pairs in any order; contexts not empty.
        window: most tokens of context and choice together.

    Returns:
        The questions in the order of their first request.
    """
    places: dict[Tokens, list[int]] = {}
    for place, (context, choice) in enumerate(requests):
        places.setdefault(fit_context(context, choice, window), []).append(place)
    return [
        Question(context, ChoiceTrie.of([requests[place][1] for place in found]), tuple(found))
        for context, found in places.items()
    ]
