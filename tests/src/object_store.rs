//! In: the script tests/bed/object_stores.py. Out: a real Swift or another S3, and a gateway's section that leads there.
//! Never: left behind: it ends with this value.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use serde_json::Value;

use crate::{
    bed::{bed, script, tool},
    cloud::Cloud,
    gateway::give,
    outcome::run,
};

/// Which server, and by which of its APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenStack Swift's own.
    Swift,
    /// OpenStack Swift's `s3api`.
    SwiftS3,
    /// The same, where Keystone says who may.
    SwiftByKeystone,
    /// The S3 of moto.
    Moto,
}

/// A running object store with a bucket `archive`.
#[derive(Debug)]
pub struct ObjectStore {
    api: Api,
    facts: Value,
    /// Its standard input is the leash.
    child: Child,
    /// Where it keeps what it stores.
    pub dir: PathBuf,
    /// `archive`; moto also has `locked`, which keeps each object for a day whoever wants it gone.
    pub bucket: &'static str,
    /// Where it is asked instead, by TLS, and the authority to trust.
    pub front: Option<(String, PathBuf)>,
}

impl ObjectStore {
    /// Starts it for the test `name`, in the controller's network namespace.
    pub fn up(api: Api, name: &str) -> ObjectStore {
        ObjectStore::with(api, name, &[])
    }

    /// A Swift of this cloud: its catalogue leads there, and one of its application credentials has the container.
    pub fn of(cloud: &Cloud, name: &str) -> ObjectStore {
        let credential = &cloud.facts["application_credentials"]["full"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let auth_url = text(&cloud.facts["auth_url"]);
        let mut store = ObjectStore::with(
            Api::SwiftByKeystone,
            name,
            &[
                ("KEYSTONE", auth_url.clone()),
                ("CREDENTIAL", text(&credential["id"])),
                ("SECRET", text(&credential["secret"])),
                ("SERVICE_USER", "octavia".to_owned()),
                ("SERVICE_PASSWORD", cloud.password("octavia")),
                ("SERVICE_DOMAIN", text(&cloud.facts["domain"]["name"])),
            ],
        );
        let place = format!("{}/v1/AUTH_%(project_id)s", store.url());
        cloud.run("endpoint", &["object-store", &place]);
        store.facts["auth_url"] = auth_url.into();
        store.facts["user"] = credential["id"].clone();
        store.facts["key"] = credential["secret"].clone();
        store
    }

    fn with(api: Api, name: &str, environment: &[(&str, String)]) -> ObjectStore {
        let dir = bed().directory("stores").join(name);
        let tools = tool("asciinema");
        let tools = tools.parent().unwrap().parent().unwrap();
        let kind = match api {
            Api::Swift | Api::SwiftS3 | Api::SwiftByKeystone => "swift",
            Api::Moto => "moto",
        };
        let log = fs::File::create(bed().directory("stores").join(format!("{name}.log"))).unwrap();
        let mut child = bed()
            .command(tools.join("store-venv/bin/python3"))
            .arg(script("object_stores.py"))
            .arg(kind)
            .arg(&dir)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let facts = serde_json::from_str(&line).unwrap_or_else(|_| {
            let log = dir.with_extension("log");
            panic!(
                "the object store did not come up: {}",
                fs::read_to_string(log).unwrap_or_default()
            )
        });
        ObjectStore {
            api,
            facts,
            child,
            dir,
            bucket: "archive",
            front: None,
        }
    }

    /// Where it answers, without TLS.
    pub fn url(&self) -> &str {
        self.facts["url"].as_str().unwrap()
    }

    /// Runs a script with boto3, whose `s3` is a client of this store. What it prints.
    pub fn ask(&self, script: &str) -> String {
        let tools = tool("asciinema");
        let tools = tools.parent().unwrap().parent().unwrap();
        let mut python = bed().command(tools.join("store-venv/bin/python3"));
        let client = format!(
            "import boto3\ns3 = boto3.client('s3', endpoint_url={:?}, region_name='us-east-1', aws_access_key_id={}, aws_secret_access_key={})\n",
            self.url(),
            self.facts["user"],
            self.facts["key"],
        );
        python.arg("-c").arg(client + script);
        run(python, b"").good().out()
    }

    /// The lines of [archive] that lead there, with a secret file in `dir` for the owner of `like`.
    pub fn section(&self, dir: &Path, like: &Path, read_only: bool) -> Vec<String> {
        let secret = dir.join("archive.secret");
        fs::write(&secret, self.facts["key"].as_str().unwrap()).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        give(&secret, like);
        let user = match (self.api, read_only) {
            (Api::Swift | Api::SwiftS3, true) => &self.facts["reader"],
            _ => &self.facts["user"],
        };
        let endpoint = self.front.as_ref().map_or(self.url(), |(url, _)| url);
        let mut lines = vec![
            format!("bucket = {:?}", self.bucket),
            "prefix = \"gw/\"".to_owned(),
            format!("secret_file = {:?}", secret.display().to_string()),
        ];
        lines.extend(match self.api {
            Api::Swift => vec![
                "store = \"swift\"".to_owned(),
                format!("auth_url = {}", self.facts["auth_url"]),
                format!("user = {user}"),
            ],
            Api::SwiftByKeystone => vec![
                "store = \"swift\"".to_owned(),
                format!("auth_url = {}", self.facts["auth_url"]),
                format!("credential = {user}"),
            ],
            Api::SwiftS3 | Api::Moto => vec![
                "store = \"s3\"".to_owned(),
                format!("endpoint = {:?}", endpoint),
                format!("access_key = {user}"),
            ],
        });
        if let Some((_, ca)) = &self.front {
            lines.push(format!("ca_file = {:?}", ca.display().to_string()));
        }
        lines
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
