from service.sessions.quota_scripts import open_key, question_keys


def slot(key: str) -> str:
    return key.partition("{")[2].partition("}")[0]


def test_keys_of_one_api_key_share_a_slot_and_no_other_does() -> None:
    keys = [open_key("alice"), *question_keys("alice")]

    assert len(set(keys)) == 3
    assert {slot(key) for key in keys} == {"key:alice"}
    assert not set(keys) & {open_key("bob"), *question_keys("bob")}
