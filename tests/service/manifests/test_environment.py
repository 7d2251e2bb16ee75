import pytest
from pydantic import SecretStr

from service.manifests.environment import variables
from service.manifests.plan import PLANS, PlannedSettings
from service.settings import ApiSettings, AuthSettings, LLMSettings, Settings


def test_only_what_differs_from_the_default_is_written() -> None:
    settings = PlannedSettings(
        llm=LLMSettings(replicas=3), api=ApiSettings(cors_origins=["https://a"])
    )
    assert variables(settings) == {
        "OMNISIFT_LLM__REPLICAS": "3",
        "OMNISIFT_API__CORS_ORIGINS": '["https://a"]',
    }


@pytest.mark.parametrize("name", sorted(PLANS))
def test_variables_are_read_back_as_the_same_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = PLANS[name].settings
    for variable, value in variables(planned).items():
        monkeypatch.setenv(variable, value)
    assert Settings().model_dump() == planned.model_dump()


def test_a_secret_is_refused() -> None:
    settings = PlannedSettings(auth=AuthSettings(token_secret=SecretStr("x" * 40)))
    with pytest.raises(ValueError, match="OMNISIFT_AUTH__TOKEN_SECRET: secrets are not written"):
        variables(settings)
