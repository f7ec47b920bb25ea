use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use event::Event;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use test_api::TestApi;

use super::*;
use crate::test_support::{PATIENCE, SYSTEM, api, received, sink, start};

/// A source as the control plane leaves it when its sink is resolved.
async fn source(api: &TestApi, spec: Value, sink: &str) -> PingSource {
    let sources: Api<PingSource> = Api::namespaced(api.client(), "default");
    let source: PingSource = serde_json::from_value(json!({
        "apiVersion": "sources.knative.dev/v1", "kind": "PingSource", "metadata": {"name": "tick"}, "spec": spec,
    }))
    .unwrap();
    let source = sources.create(&PostParams::default(), &source).await.unwrap();
    let status = json!({"status": {"sinkUri": sink, "observedGeneration": source.metadata.generation}});
    sources
        .patch_status("tick", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_are_posted_until_they_are_accepted() {
    let api = api().await;
    let (url, mut events) = sink(vec![500, 404]).await;
    let spec = json!({
        "schedule": "* * * * * *", "contentType": "application/json", "data": "{\"tick\": 1}",
        "sink": {"uri": url}, "ceOverrides": {"extensions": {"room": "7"}},
    });
    source(&api, spec, &format!("{url}/in")).await;
    let running = start(&api);
    // Two refusals; while they are waited for, later ticks come, too. Each id that was refused comes again.
    let refused = [received(&mut events).await, received(&mut events).await];
    let mut later = Vec::new();
    while !refused
        .iter()
        .all(|first| later.iter().any(|event: &Event| event.id == first.id))
    {
        later.push(received(&mut events).await);
    }
    let event = &later[0];
    assert_eq!(event.type_, "dev.knative.sources.ping");
    assert_eq!(event.source, "/apis/v1/namespaces/default/pingsources/tick");
    assert_eq!(event.data_content_type(), Some("application/json"));
    assert_eq!(event.data.as_deref(), Some(b"{\"tick\": 1}".as_slice()));
    assert_eq!(
        event.get("room").map(|value| value.text().into_owned()),
        Some("7".to_owned())
    );
    let time = event.get("time").unwrap().text().parse::<Timestamp>().unwrap();
    assert_eq!(time.subsec_nanosecond(), 0);
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_sent_once_by_who_takes_over() {
    let api = api().await;
    let (url, mut events) = sink(Vec::new()).await;
    let source = source(&api, json!({"schedule": "0 0 1 1 *", "sink": {"uri": url}}), &url).await;
    let maps: Api<ConfigMap> = Api::namespaced(api.client(), SYSTEM);
    let (uid, generation) = (source.metadata.uid.unwrap(), source.metadata.generation.unwrap());
    let recorded = async |time: &'static str| {
        let wanted = format!("{generation} {time}");
        let wait = async {
            loop {
                let map = maps.get_opt("pingsource-ticks").await.unwrap();
                let value = map.and_then(|map| map.data?.remove(&uid));
                if value
                    .as_deref()
                    .is_some_and(|value| time.is_empty() || value == wanted)
                {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the record is stored in time");
    };
    // The first process sees the source, and notes that nothing was missed so far.
    let running = start(&api);
    recorded("").await;
    running.abort();
    let _ = running.await;
    // It was three years ago.
    let data = json!({"data": {uid.clone(): format!("{generation} 2023-06-01T00:00:00Z"), "gone": "1 2023-06-01T00:00:00Z"}});
    maps.patch("pingsource-ticks", &PatchParams::default(), &Patch::Merge(data))
        .await
        .unwrap();

    let running = start(&api);
    let event = received(&mut events).await;
    assert_eq!(event.get("time").unwrap().text(), "2024-01-01T00:00:00Z");
    recorded("2024-01-01T00:00:00Z").await;
    let map = maps.get("pingsource-ticks").await.unwrap();
    assert!(
        !map.data.unwrap().contains_key("gone"),
        "sources that are gone are forgotten"
    );
    running.abort();
    let _ = running.await;
    // Had it died before that was stored, the same tick would have come again under the same id.
    let data = json!({"data": {uid.clone(): format!("{generation} 2023-06-01T00:00:00Z")}});
    maps.patch("pingsource-ticks", &PatchParams::default(), &Patch::Merge(data))
        .await
        .unwrap();
    let running = start(&api);
    assert_eq!(received(&mut events).await.id, event.id);
    assert!(events.try_recv().is_err(), "one late tick, not one for each year");
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_account_shows_a_token_for_the_audience_of_the_sink() {
    let api = api().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(api.client(), "default");
    let account = serde_json::from_value(json!({"metadata": {"name": "tick-account"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let (url, mut requests) = sink(Vec::new()).await;
    source(
        &api,
        json!({"schedule": "* * * * * *", "sink": {"uri": url}}),
        &url,
    )
    .await;
    let running = start(&api);
    let mut shown = async || {
        let request = tokio::time::timeout(PATIENCE, requests.recv()).await;
        let (headers, _) = request.expect("an event comes in time").unwrap();
        headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    // Without an account nothing is shown.
    assert_eq!(shown().await, None);
    let status = json!({"status": {"sinkAudience": "them", "auth": {"serviceAccountName": "tick-account"}}});
    let sources: Api<PingSource> = Api::namespaced(api.client(), "default");
    sources
        .patch_status("tick", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    let token = loop {
        if let Some(token) = shown().await {
            break token;
        }
    };
    let claims = token.strip_prefix("Bearer ").unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["sub"], "system:serviceaccount:default:tick-account");
    assert_eq!(claims["aud"], json!(["them"]));
    // The next tick has the same.
    assert_eq!(shown().await, Some(token));
    running.abort();
}
