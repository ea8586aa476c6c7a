//! Compose and the systemd unit.

use super::{Image, dir, document, list, of_service, read, text, unit};

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
