//! What a queue is called by: a URL.

use std::fmt;
use std::str::FromStr;

/// A queue's URL, as SQS tells it: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrl(String);

/// A text that is no queue's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no URL of a queue: expected http:// or https://, a host, and a path that ends in the queue's name")]
pub struct QueueUrlError(String);

/// The last parts of the host names of AWS's own endpoints.
const AWS: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];

impl QueueUrl {
    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the queue keeps an order.
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(".fifo")
    }

    /// The endpoint that the queue is asked at, where it is not AWS's own.
    pub fn foreign_endpoint(&self) -> Option<&str> {
        let (origin, host) = split(&self.0)?;
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let is_aws = AWS.iter().any(|suffix| host.ends_with(suffix));
        (!is_aws).then_some(origin)
    }
}

/// The scheme with the host, and the host, of a URL that has a path.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let has_name = !path.is_empty() && !path.ends_with('/');
    (!host.is_empty() && has_name).then(|| (url[..url.len() - path.len()].trim_end_matches('/'), host))
}

impl FromStr for QueueUrl {
    type Err = QueueUrlError;

    fn from_str(text: &str) -> Result<Self, QueueUrlError> {
        let is_one = split(text).is_some() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if is_one { Ok(Self(text.to_owned())) } else { Err(QueueUrlError(text.to_owned())) }
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_elsewhere_tells_its_endpoint() {
        let endpoint = |text: &str| text.parse::<QueueUrl>().unwrap().foreign_endpoint().map(str::to_owned);
        assert_eq!(endpoint("https://sqs.eu-central-1.amazonaws.com/123456789012/work"), None);
        assert_eq!(endpoint("https://vpce-0a1b.sqs.eu-central-1.vpce.amazonaws.com/123456789012/work"), None);
        assert_eq!(endpoint("http://127.0.0.1:5000/123456789012/work"), Some("http://127.0.0.1:5000".to_owned()));
        assert_eq!(endpoint("https://mq.example/work.fifo"), Some("https://mq.example".to_owned()));
    }

    #[test]
    fn the_name_tells_whether_a_queue_keeps_an_order() {
        assert!("https://sqs.eu-central-1.amazonaws.com/1/work.fifo".parse::<QueueUrl>().unwrap().is_fifo());
        assert!(!"https://sqs.eu-central-1.amazonaws.com/1/work".parse::<QueueUrl>().unwrap().is_fifo());
    }

    #[test]
    fn what_is_no_url_of_a_queue_is_refused() {
        for text in [
            "",
            "work",
            "https://",
            "https://host",
            "https://host/",
            "https:///work",
            "ftp://host/work",
            "http://h/a b",
        ] {
            assert!(text.parse::<QueueUrl>().is_err(), "{text:?}");
        }
    }
}
