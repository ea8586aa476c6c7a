//! The Cloud Run service and its Pub/Sub subscription.

use landfall_tests::root;

use super::{Image, dir, document, list, number, read, samples, seconds, text, variable};

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
        "--push-endpoint=$URL/_landfall/push --push-auth-service-account=$PUSH \
         --push-auth-token-audience=$URL"
            .into(),
    ] {
        assert!(page.contains(&command), "{command}");
    }
    let path = read(&root().join("host/model/src/broker.rs"));
    assert!(path.contains("\"/_landfall/push\""));
}

#[test]
fn the_quoted_error_matches_the_code() {
    // In the code the sentence goes on after a backslash at the end of the line.
    let code = read(&root().join("host/config/src/node.rs"));
    let code: String = code.split("\\\n").map(str::trim_start).collect();
    let quoted = samples(&dir().join("cloud-run.md"), "text");
    assert_eq!(quoted.len(), 1);
    assert!(
        code.contains(&quoted[0].trim().replace('"', "\\\"")),
        "{}",
        quoted[0]
    );
}
