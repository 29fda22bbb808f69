//! In: the section [inventory.octavia]. Out: how Octavia is asked, every setting with its default.
//! Never: a secret: the section names the file that holds it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ampgate_access::LoginUser;
use ampgate_access::table::Table;
use ampgate_inventory::{Bounds, Endpoint, Interface, Settings, Source};

use super::units::{duration, number, show_duration, show_size, size};

const CLOUDS: &str = "/etc/openstack/clouds.yaml";
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Reads the section.
pub fn read(s: Table<'_, '_>, base: &Path) -> Option<Settings> {
    // A source that cannot be read is a fault already; the other settings are read all the same: all faults at once.
    let source = source(&s, base).unwrap_or(Source::Environment);
    let login_user = s.parsed_if_there("login_user", LoginUser::parse);
    let login_user = login_user.or_else(|| LoginUser::parse("ubuntu").ok());
    let url = |text: &str| Endpoint::parse(text).map(|_| text.to_owned());
    let ten = SECOND * 10;
    let read = login_user.map(|login_user| Settings {
        region: s.string("region").map(|at| at.value.to_owned()),
        interface: s.parsed_if_there("interface", str::parse::<Interface>),
        ca_file: s.string("ca_file").map(|at| base.join(at.value)),
        endpoint: s.parsed_if_there("endpoint", url),
        compute_endpoint: s.parsed_if_there("compute_endpoint", url),
        proxy: s.parsed_if_there("proxy", url),
        logins: logins(&s),
        fresh: duration(&s, "fresh", SECOND * 30, SECOND..=SECOND * 3600),
        max_age: duration(&s, "max_age", SECOND * 604_800, SECOND..=YEAR),
        ask_again: duration(&s, "ask_again", ten, SECOND..=SECOND * 600),
        page: number(&s, "page", 500, 1..=10_000),
        bounds: Bounds {
            connect: duration(&s, "connect_timeout", SECOND * 5, SECOND / 10..=SECOND * 60),
            request: duration(
                &s,
                "request_timeout",
                SECOND * 15,
                SECOND / 10..=SECOND * 300,
            ),
            body: usize::try_from(size(&s, "max_body", 16 << 20)).unwrap_or(16 << 20),
            ..Bounds::default()
        },
        login_user,
        source,
    });
    s.end();
    read
}

/// A cloud of `clouds.yaml`, an application credential, or the environment.
fn source(s: &Table<'_, '_>, base: &Path) -> Option<Source> {
    let file = s.string("clouds_file");
    if let Some(name) = s.string("cloud") {
        for other in ["auth_url", "credential", "secret_file"] {
            if s.has(other) {
                s.fault(
                    name.span.clone(),
                    format!("`cloud` and `{other}` exclude each other"),
                );
            }
        }
        return Some(Source::Cloud {
            name: name.value.to_owned(),
            file: base.join(file.map_or(CLOUDS, |at| at.value)),
        });
    }
    if let Some(file) = file {
        s.fault(
            file.span,
            "`clouds_file` needs `cloud`: which of its clouds",
        );
    }
    if !["auth_url", "credential", "secret_file"]
        .into_iter()
        .any(|key| s.has(key))
    {
        return Some(Source::Environment);
    }
    let auth_url = s.parsed("auth_url", |text| {
        Endpoint::parse(text).map(|_| text.to_owned())
    });
    let credential = s.required("credential").map(|at| at.value.to_owned());
    let secret_file = s.required("secret_file").map(|at| base.join(at.value));
    Some(Source::Explicit {
        auth_url: auth_url?,
        credential: credential?,
        secret_file: secret_file?,
    })
}

fn logins(s: &Table<'_, '_>) -> BTreeMap<String, LoginUser> {
    let mut logins = BTreeMap::new();
    for login in s.tables("login") {
        let image = login.required("image");
        let user = login.parsed("user", LoginUser::parse);
        if let (Some(image), Some(user)) = (image, user)
            && logins.insert(image.value.to_owned(), user).is_some()
        {
            login.fault(image.span, "this image has a login user already");
        }
        login.end();
    }
    logins
}

/// The section as it is in force.
pub fn show(settings: &Settings, out: &mut String) {
    let _ = writeln!(out, "\n[inventory.octavia]");
    let mut text = |key: &str, value: &str| {
        let _ = writeln!(out, "{key} = {value:?}");
    };
    match &settings.source {
        Source::Cloud { name, file } => {
            text("cloud", name);
            text("clouds_file", &file.display().to_string());
        }
        Source::Environment => {}
        Source::Explicit {
            auth_url,
            credential,
            secret_file,
        } => {
            text("auth_url", auth_url);
            text("credential", credential);
            text("secret_file", &secret_file.display().to_string());
        }
    }
    let ca_file = settings.ca_file.as_ref().map(|p| p.display().to_string());
    for (key, value) in [
        ("region", settings.region.as_deref()),
        ("interface", settings.interface.map(Interface::as_str)),
        ("ca_file", ca_file.as_deref()),
        ("endpoint", settings.endpoint.as_deref()),
        ("compute_endpoint", settings.compute_endpoint.as_deref()),
        ("proxy", settings.proxy.as_deref()),
    ] {
        if let Some(value) = value {
            text(key, value);
        }
    }
    text("login_user", settings.login_user.as_str());
    text("fresh", &show_duration(settings.fresh));
    text("max_age", &show_duration(settings.max_age));
    text("ask_again", &show_duration(settings.ask_again));
    let bounds = &settings.bounds;
    text("connect_timeout", &show_duration(bounds.connect));
    text("request_timeout", &show_duration(bounds.request));
    text("max_body", &show_size(bounds.body as u64));
    let _ = writeln!(out, "page = {}", settings.page);
    for (image, user) in &settings.logins {
        let _ = writeln!(
            out,
            "\n[[inventory.octavia.login]]\nimage = {image:?}\nuser = {:?}",
            user.as_str()
        );
    }
}
