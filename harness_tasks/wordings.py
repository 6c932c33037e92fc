"""How the questions of our tasks are put in other words, and turned into their opposite: by the name of the prompt.

In a turned question "yes" stands for the raw task's "no": with it the words themselves are balanced symbols.
"""

from __future__ import annotations

# HateXplain's posts say in a field whether offensive ones count (its option ``hatexplain_positive``)
_HATE = "{{ 'hate speech' if question == 'Is this post hate speech?' else 'hate speech or offensive' }}"
_NO_HATE = (
    "{{ 'free of hate speech' if question == 'Is this post hate speech?' else 'neither hate speech nor offensive' }}"
)


def _asked(noun: str, name: str, turned: str) -> dict[str, dict[str, str]]:
    return {
        "direct": {
            "ask": f"{noun}: {{{{text}}}}\nIs this {noun.lower()} {name}?",
            "turned": f"{noun}: {{{{text}}}}\nIs this {noun.lower()} {turned}?",
        },
        "calling": {
            "ask": f"Read this {noun.lower()}: {{{{text}}}}\nWould you call it {name}?",
            "turned": f"Read this {noun.lower()}: {{{{text}}}}\nWould you call it {turned}?",
        },
    }


# prompt of a task -> wording -> the question (``ask``) and its opposite (``turned``)
WORDINGS: dict[str, dict[str, dict[str, str]]] = {
    "hate-comment/1": _asked("Comment", "hate speech", "free of hate speech"),
    "hate-post/1": _asked("Post", _HATE, _NO_HATE),
    "toxic-statement/1": _asked("Statement", "toxic", "harmless"),
    "hateful-text/1": _asked("Text", "hateful", "free of hate"),
    "toy-rude/1": _asked("Remark", "rude", "kind"),
}
