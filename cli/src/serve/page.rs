//! The page to try models with: a few static files, and nothing from elsewhere.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The page loads nothing but what this server serves.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($path:literal $media_type:ident $file:literal),* $(,)?) => {
        [$(($path, $media_type, include_str!(concat!("page/", $file)))),*]
    };
}

/// Every file of the page: its path, its type, its text.
const FILES: &[(&str, &str, &str)] = &files![
    "/" HTML "index.html",
    "/page.css" STYLE "page.css",
    "/api.js" SCRIPT "api.js",
    "/chat.js" SCRIPT "chat.js",
    "/completion.js" SCRIPT "completion.js",
    "/curl.js" SCRIPT "curl.js",
    "/dom.js" SCRIPT "dom.js",
    "/form.js" SCRIPT "form.js",
    "/generate.js" SCRIPT "generate.js",
    "/json.js" SCRIPT "json.js",
    "/lines.js" SCRIPT "lines.js",
    "/pace.js" SCRIPT "pace.js",
    "/page.js" SCRIPT "page.js",
    "/picture.js" SCRIPT "picture.js",
    "/ranking.js" SCRIPT "ranking.js",
    "/result.js" SCRIPT "result.js",
    "/sampling.js" SCRIPT "sampling.js",
    "/sentences.js" SCRIPT "sentences.js",
    "/sse.js" SCRIPT "sse.js",
    "/stream.js" SCRIPT "stream.js",
    "/table.js" SCRIPT "table.js",
    "/text.js" SCRIPT "text.js",
    "/waterfall.js" SCRIPT "waterfall.js",
];

/// The page at `/`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().copied().fold(Router::new(), |routes, (path, media_type, text)| {
        routes.route(path, get(move || async move { file(media_type, text) }))
    })
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}
