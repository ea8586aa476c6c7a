//! Addresses and names that a call may reach.

use super::*;

#[tokio::test]
async fn special_addresses_are_never_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "[::ffff:127.0.0.1]"] {
        // A name is not an address: listing it does not open what it resolves to.
        let origin = format!("http://{host}:{port}/");
        let listed = if host.starts_with('[') {
            format!("http://example.com:{port}/")
        } else {
            origin.clone()
        };

        let error = client(&[listed], &[])
            .send(get(&origin), "e")
            .await
            .unwrap_err();
        assert!(error.word() == "denied", "{host}: {error:?}");
    }

    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
    ] {
        let error = client(&["http://example.com/".into()], &[])
            .send(get(&format!("http://{host}:{port}/")), "e")
            .await;
        assert!(
            matches!(error, Err(OutgoingError::Denied(_))),
            "{host}: {error:?}"
        );
    }
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "something connected");
}

#[tokio::test]
async fn a_named_range_opens_a_name() {
    let (port, request) = server(OK).await;
    let origin = format!("http://localhost:{port}/");
    client(std::slice::from_ref(&origin), &["127.0.0.0/8", "::1/128"])
        .send(get(&origin), "e")
        .await
        .unwrap();
    request.await.unwrap();
}

#[tokio::test]
async fn literal_grants_do_not_cover_names() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = format!("http://localhost:{port}/");
    let error = client(&["http://127.0.0.1:1/".into(), named.clone()], &[])
        .send(get(&named), "e")
        .await
        .unwrap_err();
    assert!(
        matches!(error, OutgoingError::DeniedAddress { .. }),
        "{error:?}"
    );
    // The operator learns the address, and the component does not.
    assert!(error.to_string().contains("127.0.0.1") || error.to_string().contains("::1"));
    let told = error.guest_text();
    assert!(
        told.contains("localhost") && !told.contains("127.0.0.1"),
        "{told}"
    );
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "something connected");
}

#[tokio::test]
async fn components_open_no_metadata_server() {
    let origin = "http://127.0.0.1:9/".to_owned();
    let client = client(std::slice::from_ref(&origin), &[]);
    for name in [
        "Metadata",
        "metadata ",
        "Metadata-Flavor",
        "X-aws-ec2-metadata-token",
        "X-AWS-EC2-Metadata-Token-TTL-Seconds",
        "X-aliyun-ecs-metadata-token",
        "X-aliyun-ecs-metadata-token-ttl-seconds",
        "X-IDENTITY-HEADER",
        "X-Google-Metadata-Request",
        "X-Metadata-Token",
    ] {
        let call = Outgoing {
            headers: vec![(name.into(), "true".into())],
            ..get(&origin)
        };
        let refused = client.send(call, "event-1").await.unwrap_err();
        assert!(
            refused.to_string().contains("opens the metadata server"),
            "{name}: {refused}"
        );
    }
    let call = Outgoing {
        headers: vec![("x-metadata".into(), "fine".into())],
        ..get(&origin)
    };
    let sent = client.send(call, "event-1").await.unwrap_err();
    assert!(!matches!(sent, OutgoingError::Invalid(_)), "{sent}");
}
