//! Paths, tokens, methods, cursors and numbers that do not fit.

use super::{Target, says};

#[tokio::test]
async fn an_unknown_source_is_named_with_a_suggestion() {
    let target = Target::start("").await;
    for (name, words) in [
        ("an", "there is no source \"an\"; did you mean /ingest/am?"),
        (
            "prometheus",
            "add a [[source]] with that name to the configuration",
        ),
        ("%00%ff", "there is no source"),
        (&"x".repeat(4000), "there is no source"),
    ] {
        let url = target.daemon.url(&format!("/ingest/{name}"));
        let answer = target
            .daemon
            .send(target.daemon.client.post(url).body("{}"))
            .await;
        if answer.status.as_u16() == 400 {
            assert!(name.contains('%'), "{}", answer.text);
        } else {
            says(&answer, 404, "unknown-source", words);
        }
        assert!(answer.text.len() < 500, "{}", answer.text);
    }
    for path in ["/ingest", "/ingest/", "/ingest/am/more", "/"] {
        let url = target.daemon.url(path);
        let answer = target.daemon.send(target.daemon.client.post(url)).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        assert!(
            answer.text.contains("urn:watchbell:problem:"),
            "{}",
            answer.text
        );
    }
    target.is_fine().await;
}

#[tokio::test]
async fn a_wrong_secret_is_answered_like_none_and_nothing_of_it_is_kept() {
    let target = Target::start("").await;
    let url = target.daemon.url("/ingest/am");
    let mut bodies = Vec::new();
    for header in [
        None,
        Some("Bearer wrong-token"),
        Some("bearer good-toke"),
        Some("Bearer"),
        Some("Basic Z29vZC10b2tlbg=="),
        Some("good-token"),
    ] {
        let mut request = target.daemon.client.post(&url).body("{broken");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{header:?}");
        assert_eq!(
            answer.headers()["www-authenticate"],
            "Bearer realm=\"watchbell\""
        );
        bodies.push(answer.text().await.unwrap());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(target.daemon.list("/api/v1/dead-letters").await.is_empty());
    assert_eq!(target.daemon.messages("rejected").await, 6);
    // The scheme is written in any case.
    let request = target
        .daemon
        .client
        .post(&url)
        .header("authorization", "bEaReR good-token");
    let answer = request.body("{\"alerts\":[]}").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 202);
    target.is_fine().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let target = Target::start("").await;
    for method in ["GET", "DELETE", "PATCH", "BREW"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        for (path, allowed) in [
            ("/ingest/am", "POST, PUT"),
            ("/api/v1/incidents/1/acknowledge", "POST"),
        ] {
            let request = target
                .daemon
                .client
                .request(method.clone(), target.daemon.url(path));
            let answer = target.daemon.send(request).await;
            answer.problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), allowed);
        }
    }
    target.is_fine().await;
}

#[tokio::test]
async fn numbers_cursors_and_limits_out_of_range_are_refused() {
    let target = Target::start("").await;
    let huge = "9".repeat(400);
    for (path, status) in [
        ("/api/v1/incidents?limit=501".to_owned(), 400),
        ("/api/v1/incidents?limit=-1".to_owned(), 400),
        (format!("/api/v1/incidents?limit={huge}"), 400),
        ("/api/v1/incidents?cursor=forged".to_owned(), 400),
        ("/api/v1/incidents?cursor=MXwxfDA".to_owned(), 400),
        (format!("/api/v1/incidents?cursor={huge}"), 400),
        ("/api/v1/incidents?stat=new".to_owned(), 400),
        ("/api/v1/alerts?q=%00".to_owned(), 400),
        (format!("/api/v1/incidents/{huge}"), 404),
        ("/api/v1/incidents/0".to_owned(), 404),
        ("/api/v1/incidents/-1".to_owned(), 404),
        ("/api/v1/incidents/9223372036854775807".to_owned(), 404),
        ("/api/v1/incidents/%2e%2e".to_owned(), 404),
        ("/api/v1/incidents/%ff".to_owned(), 400),
        (format!("/api/v1/alerts/A-{huge}"), 404),
        ("/api/v1/alerts/A-%00".to_owned(), 404),
        (
            "/api/v1/alerts/9223372036854775807/timeline".to_owned(),
            404,
        ),
        (format!("/api/v1/dead-letters/{huge}"), 404),
    ] {
        let answer = target.daemon.get(&path).await;
        let kind = if status == 400 {
            "bad-request"
        } else {
            "not-found"
        };
        answer.problem(status, kind);
        assert!(answer.text.len() < 700, "{path}: {}", answer.text);
    }
    target.is_fine().await;
}
