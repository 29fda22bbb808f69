//! In: the section [archive]. Out: the object store, and how long what lies where.
//! Never: a secret; the section names the files that hold them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ampgate_access::table::Table;
use ampgate_archive::{Days, Settings, Store};
use ampgate_inventory::{Endpoint, Source};

use super::units::{duration, show_duration};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const CLOUDS: &str = "/etc/openstack/clouds.yaml";
/// A hundred years.
const LONGEST: u64 = 36_500;

/// The archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archive {
    pub settings: Settings,
    pub days: Days,
    /// Growing files are shipped this often.
    pub interval: Duration,
    /// Whether a deletion needs another admin than the one who asked.
    pub two_person: bool,
}

impl Archive {
    /// Whether the store lets nothing go.
    pub fn locked(&self) -> bool {
        matches!(self.settings.store, Store::S3 { locked: true, .. })
    }
}

/// Reads the section.
pub fn read(s: Table<'_, '_>, base: &Path, name: &str) -> Option<Archive> {
    let store = store(&s, base);
    let prefix = s.parsed_if_there("prefix", prefix);
    let days = days(&s);
    let archive = store.map(|store| Archive {
        settings: Settings {
            store,
            prefix: prefix.unwrap_or_else(|| default_prefix(name)),
            ca_file: s.string("ca_file").map(|at| base.join(at.value)),
            timeout: duration(&s, "request_timeout", SECOND * 60, SECOND..=SECOND * 600),
        },
        days,
        interval: duration(&s, "interval", SECOND * 5, SECOND..=SECOND * 3600),
        two_person: s.boolean("two_person").unwrap_or(false),
    });
    s.end();
    archive
}

fn store(s: &Table<'_, '_>, base: &Path) -> Option<Store> {
    #[derive(Clone, Copy)]
    enum Kind {
        S3,
        Swift,
        Directory,
    }
    let kind = s.parsed("store", |text| match text {
        "s3" => Ok(Kind::S3),
        "swift" => Ok(Kind::Swift),
        "directory" => Ok(Kind::Directory),
        _ => Err(format!(
            "{text:?} is none of \"s3\", \"swift\" or \"directory\""
        )),
    });
    let locked = s.boolean("object_lock").unwrap_or(false);
    match kind? {
        Kind::S3 => {
            let endpoint = s.parsed("endpoint", url);
            let bucket = s.parsed("bucket", bucket);
            let access_key = s.parsed("access_key", word);
            let secret_file = s.required("secret_file").map(|at| base.join(at.value));
            let region = s.parsed_if_there("region", word);
            Some(Store::S3 {
                endpoint: endpoint?,
                bucket: bucket?,
                region: region.unwrap_or_else(|| "us-east-1".to_owned()),
                access_key: access_key?,
                secret_file: secret_file?,
                locked,
            })
        }
        Kind::Swift | Kind::Directory if locked => {
            s.fault(
                s.span(),
                "`object_lock` is a property of S3 buckets; this store has none",
            );
            None
        }
        Kind::Swift => swift(s, base),
        Kind::Directory => {
            let directory = s.required("directory").map(|at| base.join(at.value));
            directory.map(Store::Directory)
        }
    }
}

/// A cloud of `clouds.yaml`, an application credential, or Swift's own authentication where there is a `user`.
fn swift(s: &Table<'_, '_>, base: &Path) -> Option<Store> {
    let container = s.parsed("bucket", bucket);
    if let Some(name) = s.parsed_if_there("cloud", word) {
        let file = s.string("clouds_file").map_or(CLOUDS, |at| at.value);
        return Some(Store::Swift {
            source: Source::Cloud {
                name,
                file: base.join(file),
            },
            region: s.parsed_if_there("region", word),
            container: container?,
        });
    }
    let auth_url = s.parsed("auth_url", url);
    let secret_file = s.required("secret_file").map(|at| base.join(at.value));
    if let Some(user) = s.parsed_if_there("user", word) {
        return Some(Store::SwiftV1 {
            auth_url: auth_url?,
            user,
            secret_file: secret_file?,
            container: container?,
        });
    }
    let credential = s.parsed("credential", word);
    Some(Store::Swift {
        source: Source::Explicit {
            auth_url: auth_url?,
            credential: credential?,
            secret_file: secret_file?,
        },
        region: s.parsed_if_there("region", word),
        container: container?,
    })
}

fn days(s: &Table<'_, '_>) -> Days {
    let (hot, kept) = (
        s.integer("days_hot", 0, LONGEST),
        s.integer("days_kept", 1, LONGEST),
    );
    match (hot, kept) {
        (None, Some(_)) => s.fault(
            s.span(),
            "`days_kept` needs `days_hot`: a recording leaves this machine before it leaves the store",
        ),
        (Some(hot), Some(kept)) if kept < hot => {
            s.fault(s.span(), "`days_kept` is less than `days_hot`");
        }
        _ => {}
    }
    let days = |number: Option<u64>| {
        let number = number.and_then(|days| u32::try_from(days).ok());
        number.map(|days| DAY * days)
    };
    Days {
        hot: days(hot),
        kept: days(kept),
    }
}

fn url(text: &str) -> Result<String, String> {
    Endpoint::parse(text).map(|_| text.trim_end_matches('/').to_owned())
}

fn bucket(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match (1..=255).contains(&text.len()) && text.bytes().all(good) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no bucket or container: letters, digits, dot, dash and underscore"
        )),
    }
}

/// A name or id of somebody else's making, which goes into headers and sentences.
fn word(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_graphic() && !b"\"\\".contains(&b);
    match (1..=200).contains(&text.len()) && text.bytes().all(good) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} has characters that do not belong here, or none"
        )),
    }
}

/// The gateway's name, where it can be one.
fn default_prefix(name: &str) -> String {
    prefix(&format!("{}/", name.replace([':', '[', ']'], "-")))
        .unwrap_or_else(|_| "gateway/".to_owned())
}

fn prefix(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(good)
    };
    let parts = text.strip_suffix('/').unwrap_or(text);
    match text.len() <= 200
        && (text.is_empty() || (text.ends_with('/') && parts.split('/').all(part)))
    {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no prefix; \"gateway-1/\" would be, or \"\""
        )),
    }
}

/// The section as it is in force.
pub fn show(archive: &Archive, out: &mut String) {
    let _ = writeln!(out, "\n[archive]");
    let mut text = |key: &str, value: &str| {
        let _ = writeln!(out, "{key} = {value:?}");
    };
    match &archive.settings.store {
        Store::S3 {
            endpoint,
            bucket,
            region,
            access_key,
            secret_file,
            ..
        } => {
            text("store", "s3");
            text("endpoint", endpoint);
            text("bucket", bucket);
            text("region", region);
            text("access_key", access_key);
            text("secret_file", &secret_file.display().to_string());
        }
        Store::Swift {
            source,
            region,
            container,
        } => {
            text("store", "swift");
            text("bucket", container);
            show_source(source, &mut text);
            if let Some(region) = region {
                text("region", region);
            }
        }
        Store::SwiftV1 {
            auth_url,
            user,
            secret_file,
            container,
        } => {
            text("store", "swift");
            text("bucket", container);
            text("auth_url", auth_url);
            text("user", user);
            text("secret_file", &secret_file.display().to_string());
        }
        Store::Directory(path) => {
            text("store", "directory");
            text("directory", &path.display().to_string());
        }
    }
    text("prefix", &archive.settings.prefix);
    if let Some(file) = &archive.settings.ca_file {
        text("ca_file", &file.display().to_string());
    }
    text("request_timeout", &show_duration(archive.settings.timeout));
    text("interval", &show_duration(archive.interval));
    for (key, days) in [
        ("days_hot", archive.days.hot),
        ("days_kept", archive.days.kept),
    ] {
        if let Some(days) = days {
            let _ = writeln!(out, "{key} = {}", days.as_secs() / DAY.as_secs());
        }
    }
    let _ = writeln!(out, "two_person = {}", archive.two_person);
    if archive.locked() {
        let _ = writeln!(out, "object_lock = true");
    }
}

fn show_source(source: &Source, text: &mut dyn FnMut(&str, &str)) {
    match source {
        Source::Cloud { name, file } => {
            text("cloud", name);
            text("clouds_file", &file.display().to_string());
        }
        Source::Explicit {
            auth_url,
            credential,
            secret_file,
        } => {
            text("auth_url", auth_url);
            text("credential", credential);
            text("secret_file", &secret_file.display().to_string());
        }
        Source::Environment => {}
    }
}
