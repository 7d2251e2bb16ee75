from dataclasses import replace

import pytest

from service.errors import Unprocessable
from service.ingest.recording.journal import Header
from service.ingest.recording.provenance import check_provenance
from service.source_errors import RecordingDiffers
from tests.service.ingest.recording.tapes import HEADER


def check(header: Header = HEADER, *, model: str = "stand-in", is_anyway: bool = False) -> None:
    check_provenance(header, HEADER.chunker, service="0.1.0", model=model, is_anyway=is_anyway)


def test_what_would_be_made_here_the_same_way_passes() -> None:
    check()


def test_another_version_or_model_is_named() -> None:
    with pytest.raises(RecordingDiffers, match=r"version 0.0.9 \(here 0.1.0\)") as caught:
        check(replace(HEADER, service="0.0.9"), model="big")

    assert caught.value.details["differences"] == {
        "version": {"recorded": "0.0.9", "here": "0.1.0"},
        "model": {"recorded": "stand-in", "here": "big"},
    }
    assert "model stand-in (here big)" in caught.value.message


def test_who_wants_to_see_what_they_change_may() -> None:
    check(replace(HEADER, service="0.0.9"), model="big", is_anyway=True)


def test_a_file_does_not_choose_how_chunks_are_cut() -> None:
    huge = replace(HEADER, chunker=replace(HEADER.chunker, max_pixels=10**9))

    with pytest.raises(Unprocessable, match=r"max_pixels 1000000000 \(here 3136\)"):
        check(huge, is_anyway=True)
