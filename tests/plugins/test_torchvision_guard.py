"""Skipping fake registrations of operators that do not exist, while torchvision is being imported."""

from __future__ import annotations

import pytest
import torch
from groupgap.plugins.torchvision_guard import missing_operators_skipped


def test_a_missing_operator_of_torchvision_is_skipped_and_the_function_stays() -> None:
    def fake(x: object) -> object:
        return x

    with missing_operators_skipped():
        assert torch.library.register_fake("torchvision::no_such_operator")(fake) is fake


def test_a_missing_operator_of_others_still_fails() -> None:
    with missing_operators_skipped(), pytest.raises(RuntimeError, match="does not exist"):
        torch.library.register_fake("groupgap_tests::no_such_operator")(lambda x: x)


def test_an_operator_that_exists_is_registered() -> None:
    @torch.library.custom_op("torchvision::groupgap_tests_double", mutates_args=())
    def double(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    with missing_operators_skipped():
        torch.library.register_fake("torchvision::groupgap_tests_double")(torch.empty_like)
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        assert double(torch.ones(3)).shape == (3,)


def test_torch_is_as_before_afterwards_even_after_an_error() -> None:
    before = torch.library.register_fake
    with missing_operators_skipped():
        assert torch.library.register_fake is not before
    assert torch.library.register_fake is before
    with pytest.raises(ZeroDivisionError), missing_operators_skipped():
        raise ZeroDivisionError
    assert torch.library.register_fake is before
