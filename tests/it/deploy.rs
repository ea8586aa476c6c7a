//! What docs/deploy says fits the image and the node: user, ports, folders, variables, flags and times. Every file in it is parsed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_tests::{bundled, landfall, root};
use serde_json::Value;

/// What the last stage of the Dockerfile says.
struct Image {
    uid: u64,
    ports: Vec<u64>,
    volumes: Vec<String>,
    environment: Vec<(String, String)>,
}

// === impl Image ===

impl Image {
    fn read() -> Image {
        let text = read(&root().join("Dockerfile"));
        let stage = text.rsplit("\nFROM ").next().unwrap().to_owned();
        let after = |word: &str| {
            let found = stage.lines().find_map(|line| line.strip_prefix(word));
            found
                .unwrap_or_else(|| panic!("the Dockerfile has no {word}"))
                .trim()
                .to_owned()
        };
        let pairs = after("ENV ");
        let pairs = pairs
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        Image {
            uid: after("USER ").split(':').next().unwrap().parse().unwrap(),
            ports: after("EXPOSE ")
                .split_whitespace()
                .map(|port| port.parse().unwrap())
                .collect(),
            volumes: serde_json::from_str(&after("VOLUME ")).unwrap(),
            environment: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(key, _)| key == name);
        &found
            .unwrap_or_else(|| panic!("the image sets no {name}"))
            .1
    }

    /// `/plugins` and `/data`, or where a variable of the container points.
    fn uses(&self, path: &str, container: &Value) -> bool {
        self.volumes.iter().any(|volume| volume == path)
            || variables(container).any(|(_, value)| value == path)
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dir() -> PathBuf {
    root().join("docs/deploy")
}

/// The files with this ending; all of them without one.
fn files(ending: Option<&str>) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all
        .filter(|path| {
            ending.is_none_or(|ending| path.extension().is_some_and(|found| found == ending))
        })
        .collect();
    files.sort();
    files
}

/// The documents of a YAML text.
fn documents(place: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{place}: {error}\n{text}"))
}

/// The first document of a file.
fn document(name: &str) -> Value {
    documents(name, &read(&dir().join(name))).remove(0)
}

/// The object of this kind in kubernetes.yaml.
fn kubernetes(kind: &str) -> Value {
    let all = documents("kubernetes.yaml", &read(&dir().join("kubernetes.yaml")));
    all.into_iter()
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind}"))
}

/// The fenced samples of a language.
fn samples(path: &Path, language: &str) -> Vec<String> {
    let text = read(path);
    let opening = format!("```{language}");
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if line == opening {
                found.push(body.join("\n") + "\n");
            }
        }
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// The variables of a container that have a plain value.
fn variables(container: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(&container["env"]).filter_map(|one| Some((one["name"].as_str()?, one["value"].as_str()?)))
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    variables(container)
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// `20s`, or the number alone.
fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s')
        .parse()
        .unwrap_or_else(|_| panic!("{text} is no number of seconds"))
}

/// The code that reads the node's settings, without its tests.
fn settings() -> String {
    let sources = std::fs::read_dir(root().join("host/config/src")).unwrap();
    sources
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| {
            let code = read(&path);
            code.split("#[cfg(test)]").next().unwrap().to_owned()
        })
        .collect()
}

/// How long a stop takes at most, unless something else was said: nothing here says so.
fn drain_seconds() -> u64 {
    let code = settings();
    let written = code
        .split("drain: time(file.drain, ")
        .nth(1)
        .expect("the default of `drain`");
    let written: String = written
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '_')
        .collect();
    written.replace('_', "").parse::<u64>().unwrap() / 1000
}

fn help_of_serve() -> String {
    let output = Command::new(landfall())
        .args(["serve", "--help"])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The settings of a section of a systemd unit.
fn unit(section: &str) -> Vec<(String, String)> {
    let text = read(&dir().join("landfall.service"));
    let mut current = String::new();
    let mut found = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix('[') {
            current = name.trim_end_matches(']').to_owned();
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("landfall.service: {line}"));
        if current == section {
            found.push((key.to_owned(), value.to_owned()));
        }
    }
    found
}

/// What a key of the unit's service was set to, once.
fn of_service(key: &str) -> String {
    let found: Vec<String> = unit("Service")
        .into_iter()
        .filter(|(name, _)| name == key)
        .map(|pair| pair.1)
        .collect();
    assert_eq!(found.len(), 1, "{key}: {found:?}");
    found[0].clone()
}

#[test]
fn every_sample_parses() {
    let mut count = 0;
    for path in files(Some("yaml")) {
        count += documents(&path.display().to_string(), &read(&path)).len();
    }
    for path in files(Some("md")) {
        for sample in samples(&path, "yaml") {
            count += documents(&path.display().to_string(), &sample).len();
        }
        for sample in samples(&path, "toml") {
            sample
                .parse::<toml::Table>()
                .unwrap_or_else(|error| panic!("{}: {error}\n{sample}", path.display()));
            count += 1;
        }
    }
    assert!(count >= 10, "{count} samples");
}

#[test]
fn the_node_reads_every_variable() {
    let words = |text: &str| -> BTreeSet<String> {
        let words =
            text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        words
            .filter(|word| word.starts_with("LANDFALL_"))
            .map(str::to_owned)
            .collect()
    };
    let known = words(&settings());
    for path in files(None) {
        let unknown: Vec<String> = words(&read(&path)).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
    }
}

#[test]
fn every_flag_of_serve_is_one() {
    let help = help_of_serve();
    let known: BTreeSet<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .collect();
    let mut count = 0;
    for path in files(None) {
        let text = read(&path);
        let bare = |word: &'_ str| {
            word.trim_matches(|c: char| "[]\"'`,.;:()".contains(c))
                .to_owned()
        };
        for line in text.lines() {
            let words = line
                .split_whitespace()
                .map(bare)
                .skip_while(|word| word != "serve");
            for flag in words.filter(|word| word.starts_with("--")) {
                let name = flag.split('=').next().unwrap();
                assert!(known.contains(name), "{}: {line}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 0, "no flag is named");
}

#[test]
fn ports_match_image_and_node() {
    let (image, help) = (Image::read(), help_of_serve());
    for port in &image.ports {
        assert!(
            help.contains(&format!("[default: 0.0.0.0:$PORT or 0.0.0.0:{port}]")),
            "{help}"
        );
    }
    assert!(help.contains("[default: 127.0.0.1:8081]"), "{help}");
}

#[test]
fn cloud_run_service_fits_the_image() {
    let (image, service) = (Image::read(), document("cloud-run.yaml"));
    let template = &service["spec"]["template"];
    assert_eq!(
        template["metadata"]["annotations"]["run.googleapis.com/execution-environment"],
        "gen2"
    );
    let container = &template["spec"]["containers"][0];
    let port = &container["ports"][0];
    assert!(image.ports.contains(&number(&port["containerPort"])));
    assert_eq!(
        container["startupProbe"]["tcpSocket"]["port"],
        port["containerPort"]
    );
    let is_http2 = variable(container, "LANDFALL_HTTP2") == Some("true");
    assert_eq!(port["name"], if is_http2 { "h2c" } else { "http1" });
    let mounts: Vec<&str> = list(&container["volumeMounts"])
        .map(|mount| text(&mount["mountPath"]))
        .collect();
    assert_eq!(mounts, [image.variable("LANDFALL_PLUGINS")]);
    for volume in list(&template["spec"]["volumes"]) {
        assert_eq!(volume["csi"]["readOnly"], true, "{volume}");
        let options = text(&volume["csi"]["volumeAttributes"]["mountOptions"]);
        assert!(options.contains(&format!("uid={}", image.uid)), "{options}");
    }
    // There is no key for its user there: it is the image's.
    assert_ne!(image.uid, 0);
}

#[test]
fn cloud_run_time_outs_match() {
    let service = document("cloud-run.yaml");
    let spec = &service["spec"]["template"]["spec"];
    let known =
        variable(&spec["containers"][0], "LANDFALL_PLATFORM_TIMEOUT").expect("the node is told");
    assert_eq!(number(&spec["timeoutSeconds"]), seconds(known));
}

#[test]
fn subscription_commands_match_the_service() {
    let service = document("cloud-run.yaml");
    let container = &service["spec"]["template"]["spec"]["containers"][0];
    let topic = variable(container, "LANDFALL_QUEUE_URL")
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap();
    let account = variable(container, "LANDFALL_QUEUE_PUSH_ACCOUNT")
        .unwrap()
        .split('@')
        .next()
        .unwrap();
    let page = samples(&dir().join("cloud-run.md"), "sh").concat();
    for command in [
        format!("gcloud pubsub topics create {topic}\n"),
        format!("gcloud pubsub topics create {topic}-dead\n"),
        format!("gcloud pubsub subscriptions create {topic} --topic={topic} "),
        format!("gcloud pubsub subscriptions create {topic}-dead --topic={topic}-dead "),
        format!("gcloud iam service-accounts create {account}\n"),
        "--push-endpoint=$URL/_landfall/push --push-auth-service-account=$PUSH --push-auth-token-audience=$URL".into(),
    ] {
        assert!(page.contains(&command), "{command}");
    }
    let path = read(&root().join("host/model/src/broker.rs"));
    assert!(path.contains("\"/_landfall/push\""));
}

#[test]
fn the_quoted_error_matches_the_code() {
    // In the code the sentence goes on after a backslash at the end of the line.
    let code: String = settings().split("\\\n").map(str::trim_start).collect();
    let quoted = samples(&dir().join("cloud-run.md"), "text");
    assert_eq!(quoted.len(), 1);
    assert!(
        code.contains(&quoted[0].trim().replace('"', "\\\"")),
        "{}",
        quoted[0]
    );
}

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

#[test]
fn compose_fits_and_grants_no_privileges() {
    let (image, compose) = (Image::read(), document("compose.yaml"));
    let mut nodes = 0;
    for (name, service) in compose["services"].as_object().unwrap() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(
            service["security_opt"][0], "no-new-privileges:true",
            "{name}"
        );
        let user = text(&service["user"]);
        assert!(
            !user.starts_with("0") && !user.starts_with("root"),
            "{name}: {user}"
        );
        if service["image"] != "landfall" {
            continue;
        }
        nodes += 1;
        assert_eq!(user, format!("{0}:{0}", image.uid));
        assert_eq!(
            service["healthcheck"]["test"],
            serde_json::json!(["CMD", "landfall", "ready"]),
            "{name}"
        );
        let port = text(&service["ports"][0]).rsplit(':').next().unwrap();
        assert!(
            image.ports.contains(&port.parse().unwrap()),
            "{name}: {port}"
        );
        let mounts: Vec<&str> = list(&service["volumes"])
            .map(|mount| text(mount).split(':').nth(1).unwrap())
            .collect();
        assert_eq!(mounts, image.volumes, "{name}");
        assert_eq!(
            service["volumes"][0],
            format!("./plugins:{}:ro", image.variable("LANDFALL_PLUGINS")).as_str()
        );
        let volume = text(&service["volumes"][1]).split(':').next().unwrap();
        assert!(
            compose["volumes"].as_object().unwrap().contains_key(volume),
            "{volume} is not declared"
        );
    }
    assert_eq!(nodes, 2);
    assert!(
        compose["services"]["landfall"]["profiles"].is_null(),
        "this one starts unasked"
    );
    assert_eq!(
        compose["services"]["landfall-postgres"]["profiles"][0],
        "postgres"
    );
}

#[test]
fn the_systemd_unit_is_hardened() {
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("CapabilityBoundingSet", ""),
        ("StateDirectory", "landfall"),
        ("MemoryDenyWriteExecute", "no"),
    ] {
        assert_eq!(of_service(key), value, "{key}");
    }
    let start = of_service("ExecStart");
    assert_eq!(start.split_whitespace().nth(1), Some("serve"), "{start}");
    let secret = of_service("LoadCredential")
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    let reference = format!("file:/run/credentials/landfall.service/{secret}");
    assert!(
        read(&dir().join("landfall.service")).contains(&reference),
        "{reference}"
    );
    let environment: Vec<String> = unit("Service")
        .into_iter()
        .filter(|(key, _)| key == "Environment")
        .map(|pair| pair.1)
        .collect();
    assert!(
        environment.contains(&"LANDFALL_DATA=/var/lib/landfall".to_owned()),
        "where StateDirectory is"
    );
}

#[test]
fn stop_time_outs_exceed_the_drain() {
    let drain = drain_seconds();
    assert_eq!(drain, 8, "the pages say so");
    let deployment = kubernetes("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let before = seconds(text(
        &pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1],
    ));
    assert!(number(&pod["terminationGracePeriodSeconds"]) > before + drain);
    let compose = document("compose.yaml");
    for (name, service) in compose["services"].as_object().unwrap() {
        assert!(
            seconds(text(&service["stop_grace_period"])) > drain,
            "{name}"
        );
    }
    assert!(seconds(&of_service("TimeoutStopSec")) > drain);
}

#[test]
fn the_overview_links_every_file() {
    let ways = read(&dir().join("README.md"));
    for path in files(None) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "README.md" || ways.contains(&format!("({name})")),
            "{name}"
        );
    }
    for page in files(Some("md")) {
        for target in read(&page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap();
            assert!(
                target.contains("://") || dir().join(file).exists(),
                "{}: {target}",
                page.display()
            );
        }
    }
}
