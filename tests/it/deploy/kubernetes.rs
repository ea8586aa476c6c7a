//! The Kubernetes sample.

use std::process::Command;

use landfall_tests::{bundled, landfall};

use super::{Image, dir, documents, kubernetes, list, number, read, text, variable};

#[test]
fn kubernetes_pods_fit_the_image() {
    let (image, deployment) = (Image::read(), kubernetes("Deployment"));
    let pod = &deployment["spec"]["template"]["spec"];
    let node = &pod["containers"][0];
    let port = |name: &str| {
        let ports = list(&node["ports"]).find(|port| port["name"] == name);
        number(&ports.unwrap_or_else(|| panic!("no port {name}"))["containerPort"])
    };
    assert!(image.ports.contains(&port("http")));
    let admin = variable(node, "LANDFALL_ADMIN_LISTEN").unwrap();
    assert!(admin.ends_with(&format!(":{}", port("admin"))), "{admin}");
    assert!(
        variable(node, "LANDFALL_ADMIN_TOKEN").is_some(),
        "elsewhere only with a token"
    );
    for (probe, path) in [
        ("startupProbe", "/healthz"),
        ("livenessProbe", "/healthz"),
        ("readinessProbe", "/readyz"),
    ] {
        assert_eq!(node[probe]["httpGet"]["path"], path);
        assert_eq!(node[probe]["httpGet"]["port"], "admin");
    }
    let service = kubernetes("Service");
    let targets: Vec<&str> = list(&service["spec"]["ports"])
        .map(|port| text(&port["targetPort"]))
        .collect();
    assert_eq!(targets, ["http"], "the admin listener is not for everybody");
    let mounts: Vec<&str> = list(&node["volumeMounts"])
        .map(|mount| text(&mount["mountPath"]))
        .collect();
    for path in &image.volumes {
        assert!(mounts.contains(&path.as_str()), "{path} is not mounted");
    }
    for mount in list(&node["volumeMounts"]) {
        let path = text(&mount["mountPath"]);
        assert!(image.uses(path, node), "{path} is nowhere the node looks");
        assert!(
            mount["readOnly"] == true || path == image.variable("LANDFALL_DATA"),
            "{path} can be written to"
        );
    }
    // Where the node finds them, the init container has put them.
    let filled = list(&pod["initContainers"]).flat_map(|init| list(&init["volumeMounts"]));
    assert!(
        filled
            .into_iter()
            .all(|mount| mounts.contains(&text(&mount["mountPath"])))
    );
    let copied = text(&pod["initContainers"][0]["command"][2]);
    assert_eq!(
        copied.trim_end_matches("/."),
        image.variable("LANDFALL_BUNDLED")
    );
}

#[test]
fn one_lost_machine_leaves_two_nodes() {
    let deployment = kubernetes("Deployment");
    let (replicas, pod) = (
        number(&deployment["spec"]["replicas"]),
        &deployment["spec"]["template"],
    );
    let labels = &pod["metadata"]["labels"];
    let budget = kubernetes("PodDisruptionBudget");
    assert_eq!(number(&budget["spec"]["minAvailable"]), replicas - 1);
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    let spread = &pod["spec"]["topologySpreadConstraints"][0];
    assert_eq!(
        (
            &spread["topologyKey"],
            &spread["labelSelector"]["matchLabels"]
        ),
        (&"kubernetes.io/hostname".into(), labels)
    );
    // A short outage of the database makes no pod not ready.
    let probe = &pod["spec"]["containers"][0]["readinessProbe"];
    assert!(number(&probe["periodSeconds"]) * number(&probe["failureThreshold"]) >= 30);
}

#[test]
fn only_monitoring_reaches_the_admin_listener() {
    let deployment = kubernetes("Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let policy = kubernetes("NetworkPolicy");
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    for rule in list(&policy["spec"]["ingress"]) {
        let is_public = rule["ports"][0]["port"] == "http";
        assert_eq!(rule["from"].is_null(), is_public, "{rule}");
    }
    let name = "kubernetes-monitoring.yaml";
    let monitoring = documents(name, &read(&dir().join(name)));
    let [service, monitor] = &monitoring[..] else {
        panic!("{monitoring:?}")
    };
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(
        service["metadata"]["labels"],
        monitor["spec"]["selector"]["matchLabels"]
    );
    assert_eq!(
        service["spec"]["ports"][0]["name"],
        monitor["spec"]["endpoints"][0]["port"]
    );
    let credentials = &monitor["spec"]["endpoints"][0]["authorization"]["credentials"];
    let node = &deployment["spec"]["template"]["spec"]["containers"][0];
    let token = list(&node["env"])
        .find(|variable| variable["name"] == "ADMIN_TOKEN")
        .unwrap();
    assert_eq!(credentials, &token["valueFrom"]["secretKeyRef"]);
}

#[test]
fn no_pod_has_rights() {
    let (image, deployment) = (Image::read(), kubernetes("Deployment"));
    let pod = &deployment["spec"]["template"]["spec"];
    let user = &pod["securityContext"];
    assert_eq!(user["runAsNonRoot"], true);
    assert_eq!(number(&user["runAsUser"]), image.uid);
    assert_eq!(number(&user["fsGroup"]), image.uid);
    assert_eq!(user["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    for container in list(&pod["initContainers"]).chain(list(&pod["containers"])) {
        let security = &container["securityContext"];
        assert_eq!(
            security["allowPrivilegeEscalation"], false,
            "{}",
            container["name"]
        );
        assert_eq!(
            security["readOnlyRootFilesystem"], true,
            "{}",
            container["name"]
        );
        assert_eq!(
            security["capabilities"]["drop"][0], "ALL",
            "{}",
            container["name"]
        );
        assert!(
            container["resources"]["limits"]["memory"].is_string(),
            "{}",
            container["name"]
        );
    }
}

#[test]
fn config_map_hook_file_is_valid() {
    let plugins = tempfile::tempdir().unwrap();
    let map = kubernetes("ConfigMap");
    for (name, hook) in map["data"].as_object().unwrap() {
        std::fs::write(plugins.path().join(name), text(hook)).unwrap();
    }
    let mut check = Command::new(landfall());
    check
        .arg("check")
        .arg("--plugins")
        .arg(plugins.path())
        .env("GITHUB_SECRET", "a value");
    let output = check
        .arg("--bundled")
        .arg(bundled("forward").parent().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 of 1 hooks would serve"),
        "{said}"
    );
}
