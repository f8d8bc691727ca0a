"""Holds the manifests of deploy/kubernetes against the schemas of Kubernetes, and against each other."""

import copy
import glob
import pathlib

import kubernetes_validate
import yaml

FOLDER = pathlib.Path("deploy/kubernetes")
# The first version with a preStop that sleeps, and a recent one.
VERSIONS = ["1.30", "1.33"]


def manifests():
    documents = []
    for path in sorted(glob.glob(f"{FOLDER}/*.yaml")):
        with open(path) as file:
            documents += [document for document in yaml.safe_load_all(file) if document["kind"] != "Kustomization"]
    return documents


def validate(manifest):
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def is_refused(manifest):
    try:
        validate(manifest)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError):
        return True
    return False


def misspelt(manifest, path):
    """The manifest with one member under another name."""
    manifest = copy.deepcopy(manifest)
    *parents, name = path
    parent = manifest
    for step in parents:
        parent = parent[step]
    parent[name + "s"] = parent.pop(name)
    return manifest


def main():
    documents = manifests()
    for manifest in documents:
        validate(manifest)
    by_kind = {manifest["kind"]: manifest for manifest in documents if manifest["kind"] != "Secret"}
    secrets = {manifest["metadata"]["name"] for manifest in documents if manifest["kind"] == "Secret"}
    deployment, service = by_kind["Deployment"], by_kind["Service"]
    pod = deployment["spec"]["template"]
    [container] = pod["spec"]["containers"]

    # The check of the manifests finds a misspelt member.
    for manifest, path in (
        (deployment, ["spec", "template", "spec", "securityContext", "runAsNonRoot"]),
        (deployment, ["spec", "template", "spec", "containers", 0, "readinessProbe", "timeoutSeconds"]),
        (service, ["spec", "selector"]),
        (by_kind["NetworkPolicy"], ["spec", "policyTypes"]),
        (by_kind["Job"], ["spec", "ttlSecondsAfterFinished"]),
        (by_kind["CronJob"], ["spec", "jobTemplate", "spec", "backoffLimit"]),
    ):
        assert is_refused(misspelt(manifest, path)), f"a typo in {path} is not seen"

    # Every manifest is applied, except the example of a secret.
    with open(FOLDER / "kustomization.yaml") as file:
        kustomization = yaml.safe_load(file)
    files = {path.name for path in FOLDER.iterdir()} - {"kustomization.yaml", "secret.example.yaml"}
    assert set(kustomization["resources"]) == files, "kustomization.yaml lists other files than there are"
    with open("Cargo.toml") as file:
        assert f'version = "{kustomization["images"][0]["newTag"]}"' in file.read(), "the image has another version"

    # The selectors match their pods, and no others.
    labels = pod["metadata"]["labels"]
    jobs = [by_kind["Job"], by_kind["CronJob"]["spec"]["jobTemplate"]]
    selectors = {
        "the deployment": deployment["spec"]["selector"]["matchLabels"],
        "the service": service["spec"]["selector"],
        "the disruption budget": by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        **{f"the spread over {spread['topologyKey']}": spread["labelSelector"]["matchLabels"]
           for spread in pod["spec"]["topologySpreadConstraints"]},
    }
    for name, selector in selectors.items():
        assert selector.items() <= labels.items(), f"{name} selects other pods"
        for job in jobs:
            assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items(), f"{name} selects a job"
    everything = by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    for workload in deployment, *jobs:
        assert everything.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    target = by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"], "the autoscaler and the deployment both say how many"
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2

    # Ports are used by their names. Only probes and Prometheus use the management port.
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "management": 8081}
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"], "the service has other ports"
    for probe in "startupProbe", "livenessProbe", "readinessProbe":
        assert container[probe]["httpGet"]["port"] == "management", probe
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["management"])
    ingress = [port["port"] for rule in by_kind["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert ingress == list(ports), "the network policy names other ports"

    # Every object that a manifest refers to exists.
    for workload in deployment, *jobs:
        template = workload["spec"]["template"]["spec"]
        assert template["serviceAccountName"] == by_kind["ServiceAccount"]["metadata"]["name"]
        assert template["containers"][0]["image"] == kustomization["images"][0]["name"]
        for source in template["containers"][0]["envFrom"]:
            if "configMapRef" in source:
                assert source["configMapRef"]["name"] == by_kind["ConfigMap"]["metadata"]["name"]
            else:
                assert source["secretRef"]["name"] in secrets

    # The purge writes its ledger to a volume.
    purge = by_kind["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [mount], [volume] = purge["containers"][0]["volumeMounts"], purge["volumes"]
    arguments = purge["containers"][0]["args"]
    assert arguments[arguments.index("--ledger") + 1].startswith(mount["mountPath"] + "/")
    assert volume["name"] == mount["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == by_kind["PersistentVolumeClaim"]["metadata"]["name"]
    assert purge["securityContext"]["fsGroup"] == purge["securityContext"]["runAsGroup"], "the ledger cannot be created"

    # Nothing runs with a privilege.
    for workload in deployment, *jobs:
        template = workload["spec"]["template"]["spec"]
        confinement = template["containers"][0]["securityContext"]
        assert template["securityContext"]["runAsNonRoot"] and template["securityContext"]["runAsUser"] == 65532
        assert template["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert template["automountServiceAccountToken"] is False
        assert confinement == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}

    # A pod that is told to stop has time for its pause, its drain, and the 12 s that the end may take after it.
    drain = int(by_kind["ConfigMap"]["data"]["CUSTOMER_DELETION__HTTP__DRAIN_SECONDS"])
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + drain + 12 < pod["spec"]["terminationGracePeriodSeconds"], "the grace period is too short"
    rollout = deployment["spec"]["strategy"]["rollingUpdate"]
    assert rollout["maxUnavailable"] == 0 and rollout["maxSurge"] >= 1
    print(f"{len(documents)} manifests")


if __name__ == "__main__":
    main()
