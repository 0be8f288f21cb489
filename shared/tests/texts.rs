//! The promises of the dialects for texts, on models small enough to reckon by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "texts/colours.rs"]
mod colours;

use axum::body::Body;
use bytes::Bytes;
use colours::{Colours, server};
use emberlite::model::{Problem, Task};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

struct Server {
    router: axum::Router,
    _store: TempDir,
}

impl Server {
    async fn new(models: &[Colours]) -> Self {
        let store = tempfile::tempdir().unwrap();
        Self { router: server(store.path(), models).await, _store: store }
    }

    async fn send(&self, path: &str, content_type: &str, body: impl Into<Body>) -> (StatusCode, Bytes) {
        let request = Request::post(path).header("content-type", content_type).body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = self.send(path, "application/json", body.to_string()).await;
        (status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    async fn lines(&self, path: &str, body: &str) -> Vec<Value> {
        let (status, body) = self.send(path, "application/jsonl", body.to_owned()).await;
        assert_eq!(status, 200, "{body:?}");
        std::str::from_utf8(&body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn embedder() -> Colours {
    Colours { name: "colours", task: Task::Embed, problem: None }
}

fn classifier() -> Colours {
    Colours { name: "moods", task: Task::Classify, problem: Some(Problem::SingleLabel) }
}

fn reranker() -> Colours {
    Colours { name: "relevance", task: Task::Rerank, problem: None }
}

#[tokio::test]
async fn open_ai_gets_vectors_of_length_one_and_the_tokens_counted() {
    let server = Server::new(&[embedder()]).await;
    let (status, answer) =
        server.post("/v1/embeddings", json!({"input": ["red", "green blue"], "model": "colours"})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["data"][0], json!({"object": "embedding", "index": 0, "embedding": [1.0, 0.0, 0.0]}));
    assert_eq!(answer["data"][1]["embedding"], json!([0.0, 0.70710677, 0.70710677]));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("colours")));
}

#[tokio::test]
async fn open_ai_sends_tokens_and_wants_base64_and_fewer_dimensions() {
    let server = Server::new(&[embedder()]).await;
    let body = json!({"input": [[4], [2, 5, 6, 3]], "encoding_format": "base64", "dimensions": 2, "user": "me"});
    let (status, answer) = server.post("/models/colours/v1/embeddings", body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["data"][0]["embedding"], "AACAPwAAAAA=");
    assert_eq!(answer["data"][1]["embedding"], "AAAAAAAAgD8=");
    assert_eq!(answer["usage"]["total_tokens"], 7);
}

#[tokio::test]
async fn open_ai_gets_its_errors_in_its_shape() {
    let server = Server::new(&[embedder(), classifier()]).await;
    let long = "red ".repeat(40);
    for (body, status, param, code) in [
        (json!({"input": "red", "model": "other"}), 404, json!("model"), "model_not_found"),
        (json!({"input": "red", "model": "moods"}), 400, json!("model"), "wrong_task"),
        (json!({"input": [], "model": "colours"}), 400, json!("input"), "empty_input"),
        (json!({"input": "", "model": "colours"}), 400, json!("input"), "empty_input"),
        (json!({"input": [99], "model": "colours"}), 400, json!("input"), "unknown_token"),
        (json!({"input": long, "model": "colours"}), 400, json!("input"), "context_length_exceeded"),
        (json!({"input": "red", "dimensions": 4, "model": "colours"}), 400, json!("dimensions"), "wrong_dimensions"),
        (json!({"input": {"a": 1}, "model": "colours"}), 400, json!(null), "malformed_json"),
        (json!({"input": "red"}), 400, json!(null), "bad_request"),
    ] {
        let (got, answer) = server.post("/v1/embeddings", body).await;
        let error = &answer["error"];
        assert_eq!((got, &error["param"], &error["code"]), (status, &param, &json!(code)), "{answer}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let (_, answer) = server.post("/v1/embeddings", json!({"input": ["red", long], "model": "colours"})).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("text 1") && message.contains("16") && message.contains("42"), "{message}");
    let (status, answer) = server.post("/v1/images/generations", json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn text_embeddings_gets_its_vectors_scaled_unless_it_says_no() {
    let server = Server::new(&[embedder()]).await;
    for (body, expected) in [
        (json!({"inputs": "red"}), json!([[1.0, 0.0, 0.0]])),
        (json!({"inputs": ["red", [5]]}), json!([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])),
        (json!({"inputs": "red", "normalize": false}), json!([[0.33333334, 0.0, 0.0]])),
        (json!({"inputs": "green", "dimensions": 2}), json!([[0.0, 1.0]])),
        (json!({"inputs": "green", "prompt_name": "dark", "normalize": false}), json!([[0.0, 0.25, -0.25]])),
    ] {
        assert_eq!(server.post("/embed", body.clone()).await, (200, expected), "{body}");
    }
}

#[tokio::test]
async fn a_long_text_is_refused_or_cut_at_the_end_that_was_asked_for() {
    let server = Server::new(&[embedder()]).await;
    let text = format!("{}{}", "red ".repeat(14), "green ".repeat(14));
    let (status, answer) = server.post("/embed", json!({"inputs": text})).await;
    assert_eq!((status, &answer["error_type"]), (413, &json!("validation")));
    assert!(answer["error"].as_str().unwrap().contains("at most 16 tokens, got 30"), "{answer}");
    let cut = |direction: &str| json!({"inputs": text, "truncate": true, "truncation_direction": direction});
    assert_eq!(server.post("/embed", cut("Right")).await, (200, json!([[1.0, 0.0, 0.0]])));
    assert_eq!(server.post("/embed", cut("left")).await, (200, json!([[0.0, 1.0, 0.0]])));
}

#[tokio::test]
async fn text_embeddings_gets_its_errors_in_its_shape() {
    let server = Server::new(&[embedder(), classifier()]).await;
    for (path, body, status, kind) in [
        ("/models/colours/embed", json!({"inputs": []}), 400, "empty"),
        ("/models/colours/embed", json!({"inputs": [99]}), 422, "tokenizer"),
        ("/models/colours/embed", json!({"inputs": "red", "prompt_name": "light"}), 413, "validation"),
        ("/models/colours/embed", json!({"inputs": "red", "dimensions": 9}), 413, "validation"),
        ("/models/colours/embed", json!({"input": "red"}), 422, "validation"),
        ("/models/colours/embed", json!({"inputs": {"text": "red"}}), 422, "validation"),
        ("/models/colours/similarity", json!({"inputs": "red"}), 422, "validation"),
        ("/models/colours/rerank", json!({"query": "red", "texts": "red"}), 422, "validation"),
        ("/models/moods/predict", json!({"inputs": 7}), 422, "validation"),
        ("/models/moods/classify", json!({"inputs": "red", "truncate": "yes"}), 422, "validation"),
        ("/models/moods/embed", json!({"inputs": "red"}), 424, "backend"),
        ("/models/colours/rerank", json!({"query": "red", "texts": ["red"]}), 424, "backend"),
        ("/models/colours/classify", json!({"inputs": "red"}), 424, "backend"),
        ("/models/none/similarity", json!({"inputs": {"source_sentence": "a", "sentences": ["b"]}}), 404, "validation"),
    ] {
        let (got, answer) = server.post(path, body).await;
        assert_eq!((got, &answer["error_type"]), (status, &json!(kind)), "{path} {answer}");
    }
    let (status, body) = server.send("/models/colours/embed", "application/json", "{\"inputs\":").await;
    assert_eq!(status, 400, "{body:?}");
    let (status, answer) = server.post("/models/moods/predict", json!({"input": 7})).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("malformed_json")));
    let (_, answer) = server.post("/models/moods/embed", json!({"inputs": "red"})).await;
    let message = answer["error"].as_str().unwrap();
    assert!(message.contains("classify") && message.contains("/models/moods/classify"), "{message}");
}

#[tokio::test]
async fn similarity_is_the_cosine_of_each_sentence() {
    let server = Server::new(&[embedder()]).await;
    let body = json!({"inputs": {"source_sentence": "red", "sentences": ["red red", "green", "red green"]}});
    assert_eq!(server.post("/similarity", body).await, (200, json!([1.0, 0.0, 0.70710677])));
}

#[tokio::test]
async fn texts_are_ranked_by_their_relevance_for_the_query() {
    let server = Server::new(&[reranker()]).await;
    let body = json!({"query": "red", "texts": ["blue", "red", "green"], "raw_scores": true, "return_text": true});
    let (status, answer) = server.post("/rerank", body).await;
    assert_eq!(status, 200, "{answer}");
    let order: Vec<_> = answer.as_array().unwrap().iter().map(|rank| rank["text"].as_str().unwrap()).collect();
    assert_eq!(order, ["red", "green", "blue"]);
    assert_eq!(answer[0]["index"], 1);
    let (_, answer) = server.post("/rerank", json!({"query": "red", "texts": ["blue"]})).await;
    assert!(answer[0].get("text").is_none());
    assert!((0.0..=1.0).contains(&answer[0]["score"].as_f64().unwrap()));
}

#[tokio::test]
async fn a_reranker_that_was_made_to_answer_with_its_number_does() {
    let server = Server::new(&[Colours { problem: Some(Problem::Regression), ..reranker() }]).await;
    let body = json!({"query": "red", "texts": ["blue", "red"]});
    let (_, plain) = server.post("/rerank", body.clone()).await;
    let mut raw = body;
    raw["raw_scores"] = json!(true);
    assert_eq!(plain, server.post("/rerank", raw).await.1);
    assert_eq!(plain[0]["index"], 1);
    let (_, values) = server.post("/classify", json!({"input": {"text": "red", "text_pair": "red"}})).await;
    assert_eq!(values["values"]["LABEL_0"], plain[0]["score"], "{values}");
}

#[tokio::test]
async fn a_classifier_answers_on_classify_and_on_predict_in_both_forms() {
    let server = Server::new(&[classifier()]).await;
    for path in ["/classify", "/predict", "/models/moods/classify", "/models/moods/predict"] {
        let (status, one) = server.post(path, json!({"input": "green"})).await;
        assert_eq!((status, &one["model"], &one["predicted_label"]), (200, &json!("moods"), &json!("calm")), "{one}");
        let sum: f64 = one["probabilities"].as_object().unwrap().values().map(|value| value.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        let (_, many) = server.post(path, json!({"input": ["red", {"text": "blue", "text_pair": "blue"}]})).await;
        assert_eq!(many["predictions"][0]["predicted_label"], "angry");
        assert_eq!(many["predictions"][1]["predicted_label"], "sad");
        let (_, peer) = server.post(path, json!({"inputs": "green"})).await;
        assert_eq!((peer[0]["label"].as_str(), peer.as_array().unwrap().len()), (Some("calm"), 3));
        let (_, pair) = server.post(path, json!({"inputs": ["red", "red"], "raw_scores": true})).await;
        assert_eq!(pair[0], json!({"label": "angry", "score": 0.4}));
        let (_, batch) = server.post(path, json!({"inputs": [["red"], ["blue", "blue"]]})).await;
        assert_eq!((batch[0][0]["label"].as_str(), batch[1][0]["label"].as_str()), (Some("angry"), Some("sad")));
    }
}

#[tokio::test]
async fn a_request_says_how_many_labels_and_how_likely_they_must_be() {
    let server = Server::new(&[classifier()]).await;
    let count = |answer: &Value| answer["probabilities"].as_object().unwrap().len();
    let (_, answer) = server.post("/classify", json!({"input": "green", "top_k": 1})).await;
    assert_eq!(count(&answer), 1);
    let (_, answer) = server.post("/classify", json!({"input": "green", "top_k": 1, "all": true})).await;
    assert_eq!(count(&answer), 3);
    let (_, answer) = server.post("/classify", json!({"input": "green", "threshold": 0.9})).await;
    assert_eq!(answer["predicted_label"], Value::Null);
    let (status, answer) = server.post("/classify", json!({"input": "green", "topk": 1})).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("malformed_json")));
    let long = "red ".repeat(40);
    let (status, _) = server.post("/classify", json!({"input": long})).await;
    assert_eq!(status, 200);
    let (status, answer) = server.post("/classify", json!({"input": long, "truncate": false})).await;
    assert_eq!((status, &answer["error"]["code"]), (422, &json!("text_too_long")));
    assert_eq!(
        (&answer["error"]["expected"], &answer["error"]["got"]),
        (&json!("at most 16 tokens"), &json!("42 tokens"))
    );
}

#[tokio::test]
async fn many_labels_may_be_right_and_a_regression_answers_its_numbers() {
    let many = Colours { problem: Some(Problem::MultiLabel), ..classifier() };
    let server = Server::new(&[many]).await;
    let (_, answer) = server.post("/classify", json!({"input": "red", "threshold": 0.55})).await;
    assert_eq!(answer["predicted_labels"], json!(["angry"]));
    let (_, answer) = server.post("/classify", json!({"input": "red"})).await;
    assert_eq!(answer["predicted_labels"].as_array().unwrap().len(), 3);
    let regression = Colours { problem: Some(Problem::Regression), ..classifier() };
    let server = Server::new(&[regression]).await;
    let (_, answer) = server.post("/classify", json!({"input": "red"})).await;
    assert_eq!(answer["values"]["angry"], json!(0.33333334));
}

#[tokio::test]
async fn a_model_tells_how_it_takes_texts() {
    let server = Server::new(&[embedder()]).await;
    let request = Request::get("/models/colours").body(Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let body: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let text = &body["text"];
    assert_eq!((&body["task"], &text["max_tokens"], &text["dimensions"]), (&json!("embed"), &json!(16), &json!(3)));
    assert_eq!((&text["pooling"], &text["prompts"]), (&json!("mean"), &json!({"dark": "dark "})));
}

#[tokio::test]
async fn each_line_is_answered_in_its_place_and_errors_are_lines_of_their_own() {
    let server = Server::new(&[embedder()]).await;
    let body = "{\"inputs\": \"red\"}\n\n{\"inputs\": \nno\n{\"inputs\": []}\n{\"inputs\": [\"green\", \"green red blue\"]}\n{\"inputs\": \"blue\"}";
    let lines = server.lines("/models/colours/embed", body).await;
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0], json!([[1.0, 0.0, 0.0]]));
    for (index, number, kind) in [(1, 3, "validation"), (2, 4, "validation"), (3, 5, "empty")] {
        assert_eq!((&lines[index]["line"], &lines[index]["error_type"]), (&json!(number), &json!(kind)));
    }
    assert_eq!(lines[4].as_array().unwrap().len(), 2);
    assert_eq!(lines[5], json!([[0.0, 0.0, 1.0]]));
}

#[tokio::test]
async fn a_stream_finds_its_model_in_its_first_request() {
    let server = Server::new(&[embedder(), classifier()]).await;
    let body = "{\"input\": \"red\", \"model\": \"moods\"}\n{\"input\": \"red\", \"model\": \"colours\"}\n";
    let lines = server.lines("/predict", body).await;
    assert_eq!(lines[0]["predicted_label"], "angry");
    assert_eq!((&lines[1]["error"]["code"], &lines[1]["line"]), (&json!("bad_request"), &json!(2)));
    let (status, _) = server.send("/v1/embeddings", "application/x-ndjson", "{\"input\": \"red\"}\n").await;
    assert_eq!(status, 400);
    let (status, body) = server.send("/models/none/classify", "application/jsonl", "{\"input\": \"red\"}\n").await;
    assert_eq!(status, 404, "{body:?}");
}

#[tokio::test]
async fn a_stream_is_longer_than_any_body_may_be() {
    let server = Server::new(&[embedder()]).await;
    let line = format!("{{\"inputs\": \"red\", \"comment\": \"{}\"}}\n", "x".repeat(1000));
    let lines = server.lines("/embed", &line.repeat(200)).await;
    assert_eq!(lines.len(), 200);
    let long = format!("{{\"inputs\": \"{}\"}}\n{{\"inputs\": \"red\"}}\n", "x".repeat(colours::MAX_BODY_BYTES));
    let lines = server.lines("/embed", &long).await;
    assert_eq!((&lines[0]["line"], &lines[1]), (&json!(1), &json!([[1.0, 0.0, 0.0]])));
}

#[tokio::test]
async fn ids_without_a_row_are_the_clients_error() {
    let server = Server::new(&[embedder()]).await;
    let tensor = |name: &str, ids: [i64; 2]| json!({"name": name, "datatype": "INT64", "shape": [1, 2], "data": ids});
    let ask = async |ids| {
        let inputs = [tensor("input_ids", ids), tensor("attention_mask", [1, 1])];
        server.post("/v2/models/colours/infer", json!({"inputs": inputs})).await
    };
    assert_eq!(ask([4, 7]).await.0, 200);
    for id in [8, -1] {
        let (status, answer) = ask([4, id]).await;
        assert_eq!(status, 400, "{answer}");
        let expected = format!("input \"input_ids\" has the id {id}, which has no row: its table has 8 rows");
        assert_eq!(answer, json!({"error": expected}));
    }
}
