"""Fields of Kubernetes' custom resources that we use, each with where it is documented."""

KUBERAY = "https://ray-project.github.io/kuberay/reference/api/"
RAY_K8S = "https://docs.ray.io/en/latest/cluster/kubernetes/"
OPERATOR = "https://prometheus-operator.dev/docs/api-reference/api/"

RAY_SERVICE = {
    "rayClusterDeletionDelaySeconds": KUBERAY + "#rayservicespec",
    "excludeHeadPodFromServeSvc": KUBERAY + "#rayservicespec",
    "upgradeStrategy.type": KUBERAY + "#rayserviceupgradestrategy",
    "serveConfigV2": KUBERAY + "#rayservicespec",
    "rayClusterConfig": KUBERAY + "#rayclusterspec",
}
RAY_CLUSTER = {
    "rayVersion": KUBERAY + "#rayclusterspec",
    "authOptions.mode": KUBERAY + "#authoptions",
    "enableInTreeAutoscaling": KUBERAY + "#rayclusterspec",
    "autoscalerOptions.version": KUBERAY + "#autoscaleroptions",
    "autoscalerOptions.idleTimeoutSeconds": KUBERAY + "#autoscaleroptions",
    "autoscalerOptions.upscalingMode": KUBERAY + "#autoscaleroptions",
    "autoscalerOptions.resources": KUBERAY + "#autoscaleroptions",
    "autoscalerOptions.securityContext": KUBERAY + "#autoscaleroptions",
    "gcsFaultToleranceOptions.redisAddress": KUBERAY + "#gcsfaulttoleranceoptions",
    "gcsFaultToleranceOptions.redisPassword": KUBERAY + "#rediscredential",
    "headGroupSpec.rayStartParams": KUBERAY + "#headgroupspec",
    "headGroupSpec.template": KUBERAY + "#headgroupspec",
    "workerGroupSpecs": KUBERAY + "#workergroupspec",
}
WORKER_GROUP = {
    "groupName": KUBERAY + "#workergroupspec",
    "replicas": KUBERAY + "#workergroupspec",
    "minReplicas": KUBERAY + "#workergroupspec",
    "maxReplicas": KUBERAY + "#workergroupspec",
    "rayStartParams": KUBERAY + "#workergroupspec",
    "template": KUBERAY + "#workergroupspec",
}
MONITORING = {
    "PodMonitor": {
        "selector.matchLabels": OPERATOR + "#monitoring.coreos.com/v1.PodMonitorSpec",
        "podMetricsEndpoints": OPERATOR + "#monitoring.coreos.com/v1.PodMetricsEndpoint",
    },
    "ScrapeConfig": {
        name: OPERATOR + "#monitoring.coreos.com/v1alpha1.ScrapeConfigSpec"
        for name in (
            "jobName",
            "metricsPath",
            "scrapeInterval",
            "staticConfigs",
            "authorization.credentials",
        )
    },
    "PrometheusRule": {"groups": OPERATOR + "#monitoring.coreos.com/v1.PrometheusRuleSpec"},
}


def unknown(values: dict[str, object], known: dict[str, str]) -> set[str]:
    """Fields of `values` that `known` does not list; a dotted name lists a field's own fields."""
    found = set()
    for name, value in values.items():
        if name in known:
            continue
        inner = {
            key.split(".", 1)[1]: link for key, link in known.items() if key.startswith(f"{name}.")
        }
        if inner and isinstance(value, dict):
            found |= {f"{name}.{field}" for field in unknown(value, inner)}
        else:
            found.add(name)
    return found
