"""Pages are lent all or none, counted, and given back once."""

import numpy as np
import pytest
import torch

from service.llm.pages import PoolExhausted
from tests.service.llm.thinker import build_pool


def test_pages_are_lent_and_come_back() -> None:
    pool = build_pool(num_pages=4)

    pages = pool.take(3)

    assert len(set(pages)) == 3
    assert pool.num_free == 1
    pool.release(pages)
    assert pool.num_free == 4


def test_too_many_pages_are_refused_whole() -> None:
    pool = build_pool(num_pages=4)
    held = pool.take(2)

    with pytest.raises(PoolExhausted, match="3 pages wanted, 2 free"):
        pool.take(3)

    assert pool.num_free == 2
    pool.check_integrity([held])


def test_shared_page_is_free_after_its_last_holder() -> None:
    pool = build_pool(num_pages=2)
    pages = pool.take(1)
    pool.share(pages)

    pool.release(pages)

    assert not pool.is_shared(pages[0])
    assert pool.num_free == 1
    pool.release(pages)
    assert pool.num_free == 2


def test_free_page_cannot_be_released_or_shared() -> None:
    pool = build_pool(num_pages=1)

    with pytest.raises(AssertionError, match="nobody holds it"):
        pool.release([0])
    with pytest.raises(AssertionError, match="nobody holds it"):
        pool.share([0])


def test_copy_reads_all_before_it_writes() -> None:
    pool = build_pool(num_pages=2, page_tokens=4)
    pool.keys.copy_(torch.randn(pool.keys.shape))
    pool.values.copy_(torch.randn(pool.values.shape))
    before = pool.keys.clone(), pool.values.clone()

    pool.copy(np.array([0, 1, 2]), np.array([1, 2, 5]))

    for store, old in zip((pool.keys, pool.values), before, strict=True):
        new, old = store.flatten(1, 2), old.flatten(1, 2)
        assert torch.equal(new[:, [1, 2, 5]], old[:, [0, 1, 2]])
        assert torch.equal(new[:, [0, 3, 4, 6, 7]], old[:, [0, 3, 4, 6, 7]])


def test_scrub_zeroes_its_slots_only() -> None:
    pool = build_pool(num_pages=1, page_tokens=4)
    pool.keys.fill_(torch.nan)
    pool.values.fill_(torch.nan)

    pool.scrub(np.array([1, 3]))

    for store in (pool.keys, pool.values):
        assert store.flatten(1, 2)[:, [1, 3]].eq(0).all()
        assert store.flatten(1, 2)[:, [0, 2]].isnan().all()


def test_integrity_check_finds_leaks_and_double_use() -> None:
    pool = build_pool(num_pages=4)
    held = pool.take(2)
    pool.check_integrity([held])

    with pytest.raises(AssertionError, match="wrong holder count"):
        pool.check_integrity([])
    with pytest.raises(AssertionError, match="wrong holder count"):
        pool.check_integrity([held, held])
    with pytest.raises(AssertionError, match="twice"):
        pool.check_integrity([[held[0], held[0]]])
