//! Admission handlers in process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cluster_apiserver::{Admission, ApiServer, Config, Rule};
use common::config_map;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Error;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde_json::json;

fn rule() -> Vec<Rule> {
    let all = |text: &str| vec![text.to_owned()];
    vec![Rule {
        operations: vec!["CREATE".into(), "UPDATE".into()],
        groups: all(""),
        versions: all("v1"),
        resources: all("configmaps"),
    }]
}

fn respond(
    review: AdmissionReview<DynamicObject>,
    decide: impl FnOnce(&DynamicObject, AdmissionResponse) -> AdmissionResponse,
) -> AdmissionReview<DynamicObject> {
    let request: AdmissionRequest<DynamicObject> = review.try_into().unwrap();
    let response = AdmissionResponse::from(&request);
    decide(request.object.as_ref().unwrap(), response).into_review()
}

async fn mutate(review: AdmissionReview<DynamicObject>) -> AdmissionReview<DynamicObject> {
    respond(review, |_, response| {
        let patch =
            serde_json::from_value(json!([{"op": "add", "path": "/data/added", "value": "yes"}])).unwrap();
        response.with_patch(patch).unwrap()
    })
}

async fn validate(review: AdmissionReview<DynamicObject>) -> AdmissionReview<DynamicObject> {
    respond(review, |object, mut response| {
        // Sees what the mutating handler did.
        assert_eq!(object.data["data"]["added"], "yes");
        if object.data["data"]["k"] == "bad" {
            response.allowed = false;
            response.result.code = 400;
            response.result.reason = "BadRequest".into();
            response.result.message = "validation failed: k must not be bad: data.k".into();
        }
        response
    })
}

#[tokio::test]
async fn handlers_change_and_refuse_in_the_words_of_webhooks() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::ephemeral(dir.path());
    config.admission = vec![
        Admission {
            name: "v.example.com".into(),
            mutating: false,
            rules: rule(),
            only: None,
            handler: Arc::new(validate),
        },
        Admission {
            name: "m.example.com".into(),
            mutating: true,
            rules: rule(),
            only: None,
            handler: Arc::new(mutate),
        },
    ];
    let server = ApiServer::open(config).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let made = api
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    assert_eq!(made.data.as_ref().unwrap()["added"], "yes");
    let mut bad = made.clone();
    bad.data.as_mut().unwrap().insert("k".into(), "bad".into());
    match api.replace("a", &PostParams::default(), &bad).await.unwrap_err() {
        Error::Api(status) => {
            assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
            assert_eq!(
                status.message,
                "admission webhook \"v.example.com\" denied the request: validation failed: k must not be bad: data.k"
            );
        }
        other => panic!("{other}"),
    }
    assert_eq!(api.get("a").await.unwrap(), made);
}

#[tokio::test]
async fn a_handler_is_asked_only_about_what_concerns_it_at_the_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::ephemeral(dir.path());
    let wanted = Arc::new(AtomicBool::new(false));
    let now = wanted.clone();
    config.admission = vec![Admission {
        name: "m.example.com".into(),
        mutating: true,
        rules: rule(),
        only: Some(Arc::new(move |group, resource, namespace| {
            assert_eq!((group, resource, namespace), ("", "configmaps", "default"));
            now.load(Ordering::Relaxed)
        })),
        handler: Arc::new(mutate),
    }];
    let server = ApiServer::open(config).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let mut added = Vec::new();
    for name in ["a", "b"] {
        let made = api
            .create(&PostParams::default(), &config_map(name, "1"))
            .await
            .unwrap();
        added.push(made.data.unwrap().contains_key("added"));
        wanted.store(true, Ordering::Relaxed);
    }
    assert_eq!(added, [false, true]);
}
