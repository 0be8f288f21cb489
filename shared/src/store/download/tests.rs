//! Downloads from a source that misbehaves as it is told.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::Frame;

use super::*;
use crate::model::PackageBytes;

/// What a source does with a request, where it does not just answer it.
#[derive(Clone, Copy, Debug)]
enum Act {
    Fail,
    Deny,
    /// So many bytes, then an error.
    BreakOff(usize),
    /// So many bytes, then the end, as if it were all.
    End(usize),
    /// So many bytes, then nothing more.
    Fall(usize),
    Flip,
    /// Another version of the object is there from now on.
    Replace,
    /// Answers from the start of the object.
    Whole,
    Hang,
}

#[derive(Debug)]
struct Fake {
    bytes: Vec<u8>,
    version: AtomicUsize,
    /// What happens to the requests that start at a byte, one after the other.
    acts: Mutex<HashMap<u64, VecDeque<Act>>>,
    /// What happens to all requests beyond those.
    always: Option<Act>,
    asked: Mutex<Vec<(Range<u64>, Option<String>)>>,
    open: Arc<AtomicUsize>,
    most_open: AtomicUsize,
}

impl Fake {
    fn new(bytes: usize) -> Self {
        Self {
            bytes: (0..bytes).map(|at| (at * 31 % 251) as u8).collect(),
            version: AtomicUsize::new(0),
            acts: Mutex::default(),
            always: None,
            asked: Mutex::default(),
            open: Arc::default(),
            most_open: AtomicUsize::new(0),
        }
    }

    fn act(self, start: u64, acts: &[Act]) -> Self {
        self.acts.lock().unwrap().insert(start, acts.iter().copied().collect());
        self
    }

    fn always(self, act: Act) -> Self {
        Self { always: Some(act), ..self }
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The starts of the ranges that were asked for, in order.
    fn starts(&self) -> Vec<u64> {
        let mut starts: Vec<u64> = self.asked.lock().unwrap().iter().map(|(range, _)| range.start).collect();
        starts.sort_unstable();
        starts
    }

    async fn answer(&self, range: Range<u64>, etag: Option<String>) -> Result<Opened, Fault> {
        let act = self.acts.lock().unwrap().get_mut(&range.start).and_then(VecDeque::pop_front).or(self.always);
        match act {
            Some(Act::Fail) => return Err(Fault::Passing("SlowDown: reduce your request rate".to_owned())),
            Some(Act::Deny) => return Err(StoreError::Interrupted.into()),
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Replace) => drop(self.version.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
        let version = format!("\"{}\"", self.version.load(Ordering::SeqCst));
        if etag.is_some_and(|etag| etag != version) {
            return Err(Fault::Changed("PreconditionFailed".to_owned()));
        }
        let start = if matches!(act, Some(Act::Whole)) { 0 } else { range.start as usize };
        let end = if matches!(act, Some(Act::Whole)) { self.bytes.len() } else { range.end as usize };
        let mut bytes = self.bytes[start..end.min(self.bytes.len())].to_vec();
        let end = match act {
            Some(Act::BreakOff(kept)) => (kept, Last::Error),
            Some(Act::End(kept)) => (kept, Last::End),
            Some(Act::Fall(kept)) => (kept, Last::Nothing),
            _ => (bytes.len(), Last::End),
        };
        bytes.truncate(end.0);
        if let (Some(Act::Flip), Some(first)) = (act, bytes.first_mut()) {
            *first ^= 1;
        }
        let frames = bytes.chunks(700).map(Bytes::copy_from_slice).collect();
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_open.fetch_max(open, Ordering::SeqCst);
        let body = Body { frames, last: end.1, open: Arc::clone(&self.open) };
        let body = ByteStream::new(SdkBody::from_body_1_x(body));
        Ok(Opened { start: start as u64, total: self.bytes.len() as u64, etag: Some(version), body })
    }
}

/// The source, shared with who looks at it afterwards.
#[derive(Clone, Debug)]
struct Handle(Arc<Fake>);

impl Source for Handle {
    fn read(&self, range: Range<u64>, etag: Option<&str>) -> Reading {
        let (fake, etag) = (Arc::clone(&self.0), etag.map(str::to_owned));
        fake.asked.lock().unwrap().push((range.clone(), etag.clone()));
        Box::pin(async move { fake.answer(range, etag).await })
    }
}

#[derive(Clone, Copy)]
enum Last {
    End,
    Error,
    Nothing,
}

struct Body {
    frames: VecDeque<Bytes>,
    last: Last,
    open: Arc<AtomicUsize>,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match (self.frames.pop_front(), self.last) {
            (Some(bytes), _) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            (None, Last::End) => Poll::Ready(None),
            (None, Last::Error) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            (None, Last::Nothing) => Poll::Pending,
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn patience(silence_ms: u64) -> Patience {
    Patience { silence: Duration::from_millis(silence_ms), part: Some("4096".parse().unwrap()), memory_bytes: None }
}

/// Downloads what the source has; long silences, so that only a fault that is told makes a second request.
async fn get(fake: Fake) -> (Result<Hashed, Fault>, Arc<Fake>) {
    get_with(fake, patience(600)).await
}

async fn get_with(fake: Fake, patience: Patience) -> (Result<Hashed, Fault>, Arc<Fake>) {
    let fake = Arc::new(fake);
    let outcome = download(Arc::new(Handle(Arc::clone(&fake))), patience, &fake.digest(), &Timeline::default()).await;
    (outcome, fake)
}

fn assert_whole(outcome: Result<Hashed, Fault>, fake: &Fake) {
    let hashed = outcome.unwrap();
    assert_eq!(*hashed.digest(), fake.digest());
    assert_eq!(**hashed.bytes(), fake.bytes[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_package_is_one_request() {
    for bytes in [0, 1, 4095, 4096] {
        let (outcome, fake) = get(Fake::new(bytes)).await;
        assert_whole(outcome, &fake);
        assert_eq!(*fake.asked.lock().unwrap(), [(0..4096, None)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_is_asked_for_once_and_of_the_version_that_was_begun_with() {
    let (outcome, fake) = get(Fake::new(100_001)).await;
    assert_whole(outcome, &fake);
    assert_eq!(fake.starts(), (0..25).map(|part| part * 4096).collect::<Vec<_>>());
    assert!(fake.asked.lock().unwrap()[1..].iter().all(|(_, etag)| etag.as_deref() == Some("\"0\"")));
    assert!(fake.most_open.load(Ordering::SeqCst) <= Patience::PARTS_AT_ONCE + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_goes_on_where_it_broke_off() {
    let (outcome, fake) = get(Fake::new(9000).act(4096, &[Act::BreakOff(1500)]).act(8192, &[Act::End(700)])).await;
    assert_whole(outcome, &fake);
    assert_eq!(fake.starts(), [0, 4096, 4096 + 1500, 8192, 8192 + 700]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_part_is_tried_again_too() {
    let (outcome, fake) = get(Fake::new(9000).act(0, &[Act::Fail, Act::Fail, Act::BreakOff(700)])).await;
    assert_whole(outcome, &fake);
    assert_eq!(fake.starts(), [0, 0, 0, 700, 4096, 8192]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_every_time_ends_with_the_last_reason() {
    let (outcome, fake) = get(Fake::new(9000).act(8192, &[Act::Fail; 9])).await;
    let Err(Fault::Passing(reason)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, "SlowDown: reduce your request rate, the last of 4 attempts");
    assert_eq!(fake.starts().iter().filter(|start| **start == 8192).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_good_is_not_tried_again() {
    let (outcome, fake) = get(Fake::new(9000).act(0, &[Act::Deny])).await;
    assert!(matches!(outcome, Err(Fault::Final(StoreError::Interrupted))), "{outcome:?}");
    assert_eq!(fake.starts(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_part_is_asked_for_a_second_time_and_the_first_answer_counts() {
    let slow = Fake::new(9000).act(4096, &[Act::Hang]).act(8192, &[Act::Fall(700)]);
    let started = Instant::now();
    let (outcome, fake) = get(slow).await;
    assert_whole(outcome, &fake);
    assert!(started.elapsed() < Duration::from_millis(600), "no request had to be given up for it");
    assert_eq!(fake.starts(), [0, 4096, 4096, 8192, 8192 + 700]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_first_answer_is_asked_for_a_second_time() {
    let (outcome, fake) = get(Fake::new(100).act(0, &[Act::Hang])).await;
    assert_whole(outcome, &fake);
    assert_eq!(fake.starts(), [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_silent_is_given_up() {
    let (outcome, fake) = get_with(Fake::new(100).always(Act::Hang), patience(30)).await;
    let Err(Fault::Passing(reason)) = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("nothing came for 0.03 s"), "{reason}");
    assert_eq!(fake.starts().len(), 8, "four attempts, each with its second request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_replaced_midway_is_begun_anew() {
    let (outcome, fake) = get(Fake::new(9000).act(4096, &[Act::Replace])).await;
    assert_whole(outcome, &fake);
    let asked = fake.asked.lock().unwrap();
    let last: Vec<_> = asked.iter().rev().take(2).map(|(_, etag)| etag.as_deref()).collect();
    assert_eq!(last, [Some("\"1\""); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_always_replaced_is_given_up() {
    let (outcome, fake) = get(Fake::new(9000).act(4096, &[Act::Replace; 9])).await;
    assert!(matches!(outcome, Err(Fault::Changed(_))), "{outcome:?}");
    assert_eq!(fake.starts().iter().filter(|start| **start == 0).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_part_makes_the_package_be_read_once_more() {
    let (outcome, fake) = get(Fake::new(9000).act(8192, &[Act::Flip])).await;
    assert_whole(outcome, &fake);
    assert_eq!(fake.starts(), [0, 0, 4096, 4096, 8192, 8192]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_stay_damaged_keep_the_digest_they_have() {
    let (outcome, fake) = get(Fake::new(9000).act(8192, &[Act::Flip; 9])).await;
    let hashed = outcome.unwrap();
    assert_ne!(*hashed.digest(), fake.digest());
    assert_eq!(*hashed.digest(), Digest::of(hashed.bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_knows_no_ranges_is_read_all_the_same() {
    let (outcome, fake) = get(Fake::new(9000).always(Act::Whole)).await;
    assert_whole(outcome, &fake);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_beyond_the_memory_is_refused_before_it_is_read() {
    let patience = Patience { memory_bytes: Some(8999), ..patience(600) };
    let (outcome, fake) = get_with(Fake::new(9000), patience).await;
    let Err(Fault::Final(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error, StoreError::TooLarge { bytes: 9000, memory: 8999 });
    assert_eq!(fake.starts(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_is_in_memory_once_and_starts_at_a_cache_line() {
    let (outcome, _) = get(Fake::new(100_001)).await;
    let bytes: PackageBytes = outcome.unwrap().into_bytes();
    assert!((bytes.as_ptr() as usize).is_multiple_of(64));
}
