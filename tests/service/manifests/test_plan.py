import pytest

from service.manifests.plan import DEV, PLANS, PROD, Plan, PlannedSettings


def test_the_environment_changes_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_PORT", "9999")
    assert PlannedSettings().port == 8000


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_replicas_go_to_groups_that_exist(plan: Plan) -> None:
    settings = plan.settings
    parts = (settings.api, settings.ingest, settings.encoder, settings.compressor, settings.llm)
    groups = {group.name: group for group in plan.groups}
    assert {part.node_group for part in parts} <= set(groups)
    for part in parts:
        assert part.node_group is not None
        assert part.num_gpus == 0 or groups[part.node_group].resources.gpus >= part.num_gpus


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_least_replicas_fit_the_least_nodes(plan: Plan) -> None:
    settings = plan.settings
    parts = (settings.api, settings.ingest, settings.encoder, settings.compressor, settings.llm)
    for group in plan.groups:
        here = [part for part in parts if part.node_group == group.name]
        num_cpus = sum(part.replicas * part.num_cpus for part in here)
        num_gpus = sum(part.replicas * part.num_gpus for part in here)
        assert num_cpus <= float(group.resources.cpu) * group.min_nodes
        assert num_gpus <= group.resources.gpus * group.min_nodes


@pytest.mark.parametrize("plan", [PROD])
def test_no_stage_hangs_on_one_replica(plan: Plan) -> None:
    settings = plan.settings
    parts = (settings.api, settings.ingest, settings.encoder, settings.compressor, settings.llm)
    assert all(part.replicas >= 2 for part in parts)


def test_a_pod_has_longer_than_its_publishers_drain() -> None:
    assert PROD.grace_s > PROD.settings.ingest.drain_s
    assert DEV.grace_s > DEV.settings.ingest.drain_s
