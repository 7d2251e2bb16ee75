"""Threads of torch that wait for each other's cores would take most of the time of these tests."""

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
