//! In: a file of certificate authorities, or none. Out: how TLS is spoken.
//! Never: without checking the certificate, or by another library than `ring`.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::error::CloudError;

/// rustls with `ring`, and either the system's authorities or those of one's own file, never both.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<ClientConfig, CloudError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| {
                    CloudError::Settings(format!(
                        "a certificate in the CA file {} cannot be used: {error}",
                        file.display()
                    ))
                })?;
            }
        }
        // A machine without authorities can still speak plain http on loopback; https then fails, and says why.
        None => {
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CloudError::Settings(format!("TLS cannot be set up: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CloudError> {
    let wrong =
        |why: String| CloudError::Settings(format!("the CA file {}: {why}", file.display()));
    let text = crate::secret::read_bounded(file).map_err(wrong)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong("there is no PEM certificate in it".to_owned())),
        Err(error) => Err(wrong(format!("not PEM: {error}"))),
    }
}
