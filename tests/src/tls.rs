//! In: the script tests/bed/tls_proxy.py. Out: a service that speaks plain http, behind TLS.
//! Never: left behind: it ends with the value.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
};

use crate::bed::{bed, script, tool};

/// TLS before a service, on the controller's loopback.
#[derive(Debug)]
pub struct TlsProxy {
    dir: PathBuf,
    /// Where it answers.
    pub url: String,
    child: Child,
}

impl TlsProxy {
    /// Before `upstream`, with a certificate that is `good`, `other-name` or `expired`, of an authority of its own.
    pub fn start(name: &str, certificate: &str, upstream: &str) -> TlsProxy {
        let dir = bed().directory("tls").join(name);
        fs::remove_dir_all(&dir).ok();
        TlsProxy::at(dir, certificate, upstream)
    }

    /// One more, before another service, of the same authority.
    pub fn another(&self, certificate: &str, upstream: &str) -> TlsProxy {
        let dir = self.dir.join("another");
        fs::create_dir_all(&dir).unwrap();
        for file in ["ca.pem", "ca.key"] {
            fs::copy(self.dir.join(file), dir.join(file)).unwrap();
        }
        TlsProxy::at(dir, certificate, upstream)
    }

    fn at(dir: PathBuf, certificate: &str, upstream: &str) -> TlsProxy {
        let mut python = bed().command(tool("python3"));
        python.arg(script("tls_proxy.py")).arg(&dir);
        python.args(["--certificate", certificate, "--upstream", upstream]);
        let mut child = python
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        assert!(!port.is_empty(), "the TLS proxy did not start: see above");
        TlsProxy {
            dir,
            url: format!("https://127.0.0.1:{}", port.trim()),
            child,
        }
    }

    /// The authority that has signed its certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Another one, of the same kind.
    pub fn other_ca(&self) -> PathBuf {
        self.dir.join("other-ca.pem")
    }

    /// A line for each request that arrived.
    pub fn requests(&self) -> String {
        fs::read_to_string(self.dir.join("requests")).unwrap()
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
