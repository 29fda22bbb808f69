//! In: what a cloud shall answer. Out: a Keystone and an Octavia on one loopback port, over plain sockets, that count.
//! Never: an HTTP library: what goes over the wire is what is looked at.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampgate_access::LoginUser;
use ampgate_inventory::{Condition, Inventory, Live, Settings, Source, State};
use serde_json::{Value, json};

pub const SECRET: &str = "the-very-secret-of-the-credential";
pub const TOKEN: &str = "gAAAAA-the-token-that-nobody-may-see";
pub const WEB: &str = "c0ffee01-0000-4000-8000-0000000000a1";
pub const PAY: &str = "c0ffee02-0000-4000-8000-0000000000b1";

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn all(&self, key: &str) -> Vec<&str> {
        let of_key = self.query.iter().filter(|(k, _)| k == key);
        of_key.map(|(_, v)| v.as_str()).collect()
    }

    fn one(&self, key: &str) -> Option<&str> {
        self.all(key).first().copied()
    }

    fn token(&self) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|l| l.to_ascii_lowercase().starts_with("x-auth-token:"));
        line.and_then(|line| line.split_once(": ")).map(|(_, t)| t)
    }
}

/// What is answered instead of the truth.
pub type Instead = Box<dyn FnMut(&Request) -> Option<Reply> + Send>;

pub struct Reply {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    pub after: Duration,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            after: Duration::ZERO,
        }
    }
}

/// What is true in the cloud, and what was asked of it.
#[derive(Default)]
pub struct Truth {
    pub amphorae: Vec<Value>,
    pub balancers: Vec<Value>,
    pub tokens: HashSet<String>,
    pub issued: usize,
    pub lifetime: i64,
    pub requests: Vec<Request>,
    pub instead: Option<Instead>,
    pub dead: bool,
}

pub struct World {
    pub truth: Arc<Mutex<Truth>>,
    pub url: String,
    pub dir: tempfile::TempDir,
}

pub fn amphora(n: u32, balancer: &str, role: &str, status: &str) -> Value {
    json!({"id": format!("a000{n:04}-0000-4000-8000-{n:012}"), "loadbalancer_id": balancer, "role": role, "status": status,
        "compute_id": format!("de00{n:04}-0000-4000-8000-{n:012}"), "lb_network_ip": format!("172.24.{}.{}", n / 250, n % 250 + 1),
        "cached_zone": "nova", "image_id": null})
}

pub fn balancer(id: &str, name: &str, project: &str) -> Value {
    json!({"id": id, "name": name, "project_id": project, "tags": ["env:prod"], "provider": "amphora",
        "flavor_id": null, "availability_zone": null})
}

impl World {
    pub fn new() -> Self {
        let truth = Truth {
            amphorae: vec![
                amphora(1, WEB, "MASTER", "ALLOCATED"),
                amphora(2, WEB, "BACKUP", "ALLOCATED"),
                amphora(3, PAY, "STANDALONE", "ALLOCATED"),
                amphora(5, PAY, "STANDALONE", "ERROR"),
                json!({"id": "a0000006-0000-4000-8000-000000000006", "loadbalancer_id": null, "status": "BOOTING"}),
            ],
            balancers: vec![
                balancer(WEB, "cmp-was-lb", "p1"),
                balancer(PAY, "Pay-lb", "p2"),
            ],
            lifetime: 3600,
            ..Truth::default()
        };
        let truth = Arc::new(Mutex::new(truth));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (served, here) = (Arc::clone(&truth), url.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (truth, here) = (Arc::clone(&served), here.clone());
                std::thread::spawn(move || serve(stream, &truth, &here));
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { truth, url, dir }
    }

    pub fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("octavia.inventory")
    }

    /// Asked often, with short deadlines.
    pub fn settings(&self) -> Settings {
        let source = Source::Explicit {
            auth_url: format!("{}/v3", self.url),
            credential: "c".to_owned(),
            secret_file: self.dir.path().join("secret"),
        };
        let mut settings = Settings::new(source, LoginUser::parse("ubuntu").unwrap());
        settings.fresh = Duration::from_millis(100);
        settings.bounds.request = Duration::from_secs(2);
        settings.page = 2;
        settings
    }

    pub fn start(&self) -> Live {
        Live::start(self.settings(), &self.file())
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Truth) -> T) -> T {
        change(&mut self.truth.lock().unwrap())
    }

    pub fn instead(&self, instead: impl FnMut(&Request) -> Option<Reply> + Send + 'static) {
        self.change(|truth| truth.instead = Some(Box::new(instead)));
    }

    pub fn count(&self) -> usize {
        self.change(|truth| truth.requests.len())
    }
}

/// Waits for a condition of an inventory, at most 10 s.
pub async fn until(live: &Live, wanted: impl Fn(&Condition) -> bool) -> Condition {
    for _ in 0..1000 {
        let condition = live.condition().await;
        if wanted(&condition) {
            return condition;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still {:?}", live.condition().await);
}

pub async fn fresh(live: &Live) {
    until(live, |c| c.state == State::Fresh).await;
}

pub async fn down(live: &Live) -> String {
    let bad = |c: &Condition| {
        matches!(c.state, State::Down | State::Gone)
            && c.sentence
                .as_deref()
                .is_some_and(|s| !s.contains("not been asked"))
    };
    until(live, bad).await.sentence.unwrap()
}

fn serve(mut stream: TcpStream, truth: &Mutex<Truth>, here: &str) -> Option<()> {
    let mut got = Vec::new();
    let mut byte = [0; 4096];
    let end = loop {
        if let Some(at) = got.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let n = stream.read(&mut byte).ok().filter(|n| *n > 0)?;
        got.extend_from_slice(&byte[..n]);
    };
    let head = String::from_utf8_lossy(&got[..end]).into_owned();
    let length = head.lines().find_map(|l| {
        l.to_ascii_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    let length: usize = length.map_or(0, |l| l.trim().parse().unwrap());
    while got.len() < end + length {
        let n = stream.read(&mut byte).ok().filter(|n| *n > 0)?;
        got.extend_from_slice(&byte[..n]);
    }
    let line: Vec<&str> = head.lines().next()?.split(' ').collect();
    let (path, query) = line[1].split_once('?').unwrap_or((line[1], ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let request = Request {
        method: line[0].to_owned(),
        path: path.to_owned(),
        query: query
            .map(|(k, v)| (k.to_owned(), v.replace('+', " ").replace("%20", " ")))
            .collect(),
        body: String::from_utf8_lossy(&got[end..]).into_owned(),
        head,
    };
    let reply = {
        let mut truth = truth.lock().unwrap();
        if truth.dead {
            return None;
        }
        truth.requests.push(request.clone());
        let mut instead = truth.instead.take();
        let reply = instead.as_mut().and_then(|instead| instead(&request));
        truth.instead = instead;
        reply.unwrap_or_else(|| truth.answer(&request, here))
    };
    std::thread::sleep(reply.after);
    let mut out = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for header in &reply.headers {
        out += &format!("{header}\r\n");
    }
    if !reply
        .headers
        .iter()
        .any(|h| h.starts_with("Transfer-Encoding"))
    {
        out += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    out += "\r\n";
    stream.write_all(out.as_bytes()).ok()?;
    stream.write_all(&reply.body).ok()
}

impl Truth {
    fn answer(&mut self, request: &Request, here: &str) -> Reply {
        if request.method == "POST" && request.path == "/v3/auth/tokens" {
            return self.issue(request, here);
        }
        if !request.token().is_some_and(|t| self.tokens.contains(t)) {
            return Reply::json(
                401,
                &json!({"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}),
            );
        }
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        let (key, rows) = match parts.as_slice() {
            ["v3", "projects"] => {
                return Reply::json(
                    200,
                    &json!({"projects": [{"id": "p1", "name": "shop"}, {"id": 5}, {"id": "p2", "name": "bank"}], "links": {"next": null}}),
                );
            }
            ["v2", "octavia", "amphorae", ..] => ("amphorae", &self.amphorae),
            ["v2", "lbaas", "loadbalancers", ..] => ("loadbalancers", &self.balancers),
            _ => return Reply::text(404, "no such path"),
        };
        if let [_, _, _, id] = parts.as_slice() {
            let one = key.trim_end_matches('s').replace("amphorae", "amphora");
            return match rows.iter().find(|row| row["id"] == **id) {
                Some(row) => Reply::json(200, &json!({one: row})),
                None => Reply::json(
                    404,
                    &json!({"faultcode": "Client", "faultstring": "not found", "debuginfo": null}),
                ),
            };
        }
        let mut rows: Vec<&Value> = rows.iter().collect();
        for filter in ["loadbalancer_id", "compute_id", "name"] {
            if let Some(wanted) = request.one(filter) {
                // As MariaDB compares: without regard to case and blanks at the end.
                rows.retain(|row| {
                    row[filter]
                        .as_str()
                        .is_some_and(|v| v.trim_end().eq_ignore_ascii_case(wanted.trim_end()))
                });
            }
        }
        if let Some(marker) = request.one("marker") {
            let at = rows.iter().position(|row| row["id"] == marker).unwrap();
            rows.drain(..=at);
        }
        let limit: usize = request.one("limit").map_or(1000, |l| l.parse().unwrap());
        let more = rows.len() > limit;
        rows.truncate(limit);
        // The trap: the link has lost our filters and fields.
        let links = match more {
            true => json!([{"rel": "next", "href": format!("{here}{}?marker=lost", request.path)}]),
            false => json!([]),
        };
        Reply::json(200, &json!({key: rows, format!("{key}_links"): links}))
    }

    fn issue(&mut self, request: &Request, here: &str) -> Reply {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let identity = &body["auth"]["identity"];
        assert!(body["auth"]["scope"].is_null(), "refused by Keystone");
        if identity["application_credential"]["secret"] != SECRET {
            return Reply::json(
                401,
                &json!({"error": {"code": 401, "message": "no", "title": "Unauthorized"}}),
            );
        }
        self.issued += 1;
        let token = format!("{TOKEN}-{}", self.issued);
        self.tokens.insert(token.clone());
        let at = |seconds: i64| (jiff::Timestamp::from_second(seconds).unwrap()).to_string();
        let endpoints = json!([{"interface": "public", "region": "RegionOne", "url": here}]);
        // Its clock is years behind ours.
        let mut reply = Reply::json(
            201,
            &json!({"token": {"methods": ["application_credential"], "issued_at": at(1000),
            "expires_at": at(1000 + self.lifetime), "catalog": [{"type": "load-balancer", "endpoints": endpoints}, {"type": "key-manager", "endpoints": endpoints}]}}),
        );
        reply.headers.push(format!("X-Subject-Token: {token}"));
        reply
    }
}
