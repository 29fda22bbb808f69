//! In: what a test wants wrong. Out: a gateway's directories, a small S3 that misbehaves, a store that dies in mid-work.
//! Never: a clock: the hour is said by the test.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampgate_archive::{
    ArchiveError, Days, News, Places, Remote, Rules, Settings, Shipper, Store, Witness, open,
};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;

/// 2026-11-23T00:00:00Z.
pub const MONDAY: &str = "2026-11-23T00:00:00Z";

pub fn at(hours: i64) -> Timestamp {
    MONDAY.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_hours(hours)
}

/// Directories as a gateway has them.
pub struct Site {
    pub dir: TempDir,
    pub told: Arc<Told>,
}

/// What was told, and whether anybody listens.
#[derive(Default)]
pub struct Told {
    pub news: Mutex<Vec<News>>,
    pub deaf: AtomicBool,
}

struct Ear(Arc<Told>);

#[async_trait]
impl Witness for Ear {
    async fn tell(&self, news: &[News]) -> bool {
        let hears = !self.0.deaf.load(Ordering::Relaxed);
        if hears {
            self.0.news.lock().unwrap().extend_from_slice(news);
        }
        hears
    }
}

impl Site {
    pub fn new() -> Self {
        let site = Self {
            dir: tempfile::tempdir().unwrap(),
            told: Arc::default(),
        };
        fs::create_dir_all(site.places().journal).unwrap();
        site
    }

    pub fn places(&self) -> Places {
        Places {
            recordings: self.dir.path().join("recordings"),
            journal: self.dir.path().join("journal"),
            state: self.dir.path().join("archive"),
        }
    }

    /// Bytes at the end of a recording's file, which is made where it is missing.
    pub fn record(&self, id: &str, ending: &str, bytes: &[u8]) -> PathBuf {
        // The day of all ids of the tests.
        let path = self
            .places()
            .recordings
            .join(format!("2026/11/22/{id}.{ending}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        file.write_all(bytes).unwrap();
        path
    }

    pub fn journal(&self, day: u32, event: &str, session: &str, rest: &str) {
        let path = self
            .places()
            .journal
            .join(format!("journal-2026-11-{day:02}.jsonl"));
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(
            file,
            "{{\"seq\":1,\"session\":\"{session}\",\"event\":\"{event}\"{rest}}}"
        )
        .unwrap();
        // Whatever hour a test says, the journal goes on until then.
        file.set_modified(at(24 * 20_000).into()).unwrap();
    }

    pub fn seal(&self, id: &str) {
        self.journal(
            22,
            "recording.closed",
            id,
            ",\"sealed\":true,\"head\":\"ab\"",
        );
    }

    pub fn shipper(&self, remote: Box<dyn Remote>, hot: Option<u32>, kept: Option<u32>) -> Shipper {
        let days = |days: Option<u32>| days.map(|days| Duration::from_secs(86_400) * days);
        let rules = Rules {
            days: Days {
                hot: days(hot),
                kept: days(kept),
            },
            locked: false,
            store: "the store".to_owned(),
        };
        Shipper::open(
            remote,
            self.places(),
            rules,
            Box::new(Ear(self.told.clone())),
        )
        .unwrap()
    }

    /// The names of what was told, and it is forgotten.
    pub fn heard(&self) -> Vec<&'static str> {
        let news: Vec<News> = self.told.news.lock().unwrap().drain(..).collect();
        let word = |news: &News| match news {
            News::Shipped { .. } => "shipped",
            News::Failed { .. } => "failed",
            News::Resumed { .. } => "resumed",
            News::LocalRemoved { .. } => "removed",
            News::Deleted { .. } => "deleted",
        };
        news.iter().map(word).collect()
    }

    /// A store in a directory beside.
    pub fn directory(&self) -> Box<dyn Remote> {
        open(&Settings {
            store: Store::Directory(self.store()),
            prefix: "gw/".to_owned(),
            ca_file: None,
            timeout: Duration::from_secs(1),
        })
        .unwrap()
    }

    pub fn store(&self) -> PathBuf {
        fs::create_dir_all(self.dir.path().join("store")).unwrap();
        self.dir.path().join("store")
    }
}

/// Every file below, by its path from there.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false => {
                    let path = entry.path();
                    let name = path.strip_prefix(dir).unwrap().display().to_string();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

/// A store whose user is killed in the so-manieth request, before or after it took effect.
pub struct Mortal {
    pub inner: Box<dyn Remote>,
    pub left: AtomicUsize,
    pub after: bool,
}

impl Mortal {
    async fn dies(&self, after: bool) {
        if self.after == after && self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Remote for Mortal {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        self.dies(false).await;
        let done = self.inner.put(name, bytes).await;
        self.dies(true).await;
        done
    }
    async fn get(&self, name: &str, at_most: usize) -> Result<Bytes, ArchiveError> {
        self.dies(false).await;
        let done = self.inner.get(name, at_most).await;
        self.dies(true).await;
        done
    }
    async fn delete(&self, name: &str) -> Result<(), ArchiveError> {
        self.dies(false).await;
        let done = self.inner.delete(name).await;
        self.dies(true).await;
        done
    }
    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, ArchiveError> {
        self.dies(false).await;
        let done = self.inner.list(prefix, after).await;
        self.dies(true).await;
        done
    }
}

/// What an S3 may do instead of its work, for requests of this method.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// HTTP 500.
    Fails,
    /// Answers 200 to an upload and keeps nothing.
    Forgets,
    /// Keeps other bytes than it was sent, of files and not of what is said about them.
    Corrupts,
    /// Half of the body that it announced.
    Truncates,
    /// Other bytes, of the same length.
    Lies,
    /// No answer.
    Hangs,
}

#[derive(Default)]
pub struct Shared {
    pub objects: Mutex<BTreeMap<String, Vec<u8>>>,
    pub fault: Mutex<Option<(&'static str, Fault)>>,
    pub requests: AtomicUsize,
}

/// An S3 with one bucket, `b`.
pub struct S3 {
    pub port: u16,
    pub shared: Arc<Shared>,
}

impl S3 {
    /// On a free port, or on this one.
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let (server, shared) = (shared.clone(), shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = server.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, shared }
    }

    pub fn fault(&self, fault: Option<(&'static str, Fault)>) {
        *self.shared.fault.lock().unwrap() = fault;
    }
}

/// Its client. The deadline is the one for a server that hangs.
pub fn client(port: u16, secret: &Path) -> Box<dyn Remote> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(secret, "secret\n").unwrap();
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
    open(&Settings {
        store: Store::S3 {
            endpoint: format!("http://127.0.0.1:{port}"),
            bucket: "b".to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "key".to_owned(),
            secret_file: secret.to_owned(),
            locked: false,
        },
        prefix: "gw/".to_owned(),
        ca_file: None,
        timeout: Duration::from_millis(300),
    })
    .unwrap()
}

fn serve(stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut read = BufReader::new(stream.try_clone().ok()?);
    let mut write = stream;
    loop {
        let mut first = String::new();
        if read.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            read.read_line(&mut line).ok()?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        read.read_exact(&mut body).ok()?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        shared.requests.fetch_add(1, Ordering::Relaxed);
        answer(&mut write, shared, &method, &target, body)?;
    }
}

fn answer(
    write: &mut TcpStream,
    shared: &Shared,
    method: &str,
    target: &str,
    body: Vec<u8>,
) -> Option<()> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let name = decode(path.strip_prefix("/b")?.trim_start_matches('/'));
    let kind = if name.is_empty() { "LIST" } else { method };
    let fault = shared
        .fault
        .lock()
        .unwrap()
        .filter(|(of, _)| *of == kind)
        .map(|(_, fault)| fault);
    match fault {
        Some(Fault::Hangs) => {
            std::thread::sleep(Duration::from_secs(3600));
            return None;
        }
        Some(Fault::Fails) => return send(write, "500 Internal Server Error", b"<Error/>", 8),
        Some(Fault::Forgets) => return send(write, "200 OK", b"", 0),
        _ => {}
    }
    let mut objects = shared.objects.lock().unwrap();
    match kind {
        "PUT" => {
            let mut body = body;
            if fault == Some(Fault::Corrupts) && name.ends_with(".zst") {
                body.iter_mut().for_each(|byte| *byte ^= 1);
            }
            objects.insert(name, body);
            send(write, "200 OK", b"", 0)
        }
        "DELETE" => {
            objects.remove(&name);
            send(write, "204 No Content", b"", 0)
        }
        "LIST" => {
            let value = |key: &str| {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs
                    .find(|(k, _)| *k == key)
                    .map(|(_, v)| decode(v))
                    .unwrap_or_default()
            };
            let (prefix, after) = (value("prefix"), value("start-after"));
            let found = objects
                .iter()
                .filter(|(name, _)| name.starts_with(&prefix) && **name > after);
            let rows: String = found
                .map(|(name, bytes)| format!("<Contents><Key>{name}</Key><LastModified>2026-11-23T00:00:00.000Z</LastModified><ETag>\"x\"</ETag><Size>{}</Size></Contents>", bytes.len()))
                .collect();
            let text = format!(
                "<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
            );
            send(write, "200 OK", text.as_bytes(), text.len())
        }
        _ => match objects.get(&name) {
            None => send(
                write,
                "404 Not Found",
                b"<Error><Code>NoSuchKey</Code></Error>",
                37,
            ),
            Some(bytes) => match fault {
                Some(Fault::Truncates) => {
                    send(write, "200 OK", &bytes[..bytes.len() / 2], bytes.len())?;
                    None
                }
                Some(Fault::Lies) => {
                    let other: Vec<u8> = bytes.iter().map(|b| b ^ 1).collect();
                    send(write, "200 OK", &other, other.len())
                }
                _ => send(write, "200 OK", bytes, bytes.len()),
            },
        },
    }
}

fn send(write: &mut TcpStream, status: &str, body: &[u8], length: usize) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nLast-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\nETag: \"x\"\r\n\r\n"
    );
    let length = match status.starts_with("204") {
        true => head.replace("Content-Length: 0\r\n", ""),
        false => head,
    };
    write.write_all(length.as_bytes()).ok()?;
    write.write_all(body).ok()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let hex: String = [rest.next().unwrap(), rest.next().unwrap()]
                    .map(char::from)
                    .iter()
                    .collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
