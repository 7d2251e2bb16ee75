import json
import shlex
from dataclasses import replace

import pytest
import yaml

from service.manifests.plan import DEV, PLANS, PROD, NodeGroup, Plan, Resources
from service.manifests.ray_service import ray_service, serve_config, to_yaml


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_file_holds_the_object(plan: Plan) -> None:
    assert yaml.safe_load(to_yaml(plan)) == ray_service(plan)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_each_group_offers_the_resource_that_replicas_ask_for(plan: Plan) -> None:
    groups = ray_service(plan)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    for group, planned in zip(groups, plan.groups, strict=True):
        (word,) = shlex.split(group["rayStartParams"]["resources"])  # as a shell reads it
        assert json.loads(word) == {planned.name: 1}


def test_the_head_runs_no_replicas() -> None:
    head = ray_service(PROD)["spec"]["rayClusterConfig"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"


def test_a_host_network_keeps_pods_of_a_group_apart() -> None:
    group = NodeGroup("media", Resources("2", "4Gi"), uses_host_network=True)
    plan = replace(DEV, groups=(group,))
    spec = ray_service(plan)["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]
    assert spec["hostNetwork"] is True
    assert "requiredDuringSchedulingIgnoredDuringExecution" in spec["affinity"]["podAntiAffinity"]


def test_rays_ports_ask_for_a_token() -> None:
    cluster = ray_service(PROD)["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    # Ray has tokens since 2.52
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)


def test_serve_config_holds_no_setting_of_ours() -> None:
    (application,) = serve_config(PROD)["applications"]
    assert application["args"] == {}
    assert set(application) == {"name", "import_path", "route_prefix", "args"}
