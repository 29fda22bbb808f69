//! In: a file of certificate authorities, or none. Out: how TLS is spoken; what is wrong with a certificate.
//! Never: without checking the certificate, or by another library than `ring`.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::error::{CloudError, excerpt};

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

/// What is wrong with the service's certificate, if that is why a request failed.
pub(crate) fn distrust(failed: &(dyn Error + 'static)) -> Option<String> {
    let mut next = failed.source();
    while let Some(cause) = next {
        if let Some(rustls::Error::InvalidCertificate(fault)) = cause.downcast_ref() {
            return Some(sentence(fault));
        }
        // What an io::Error carries is not its source, but itself.
        let carried = cause
            .downcast_ref::<io::Error>()
            .and_then(|io| io.get_ref());
        next = match carried {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

fn sentence(fault: &CertificateError) -> String {
    use CertificateError as Fault;
    match fault {
        Fault::UnknownIssuer => {
            "its authority is not among those of ca_file (without ca_file: the system's)".to_owned()
        }
        Fault::Expired | Fault::ExpiredContext { .. } => {
            "it has expired; renew it, and check this machine's clock".to_owned()
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "it is not valid yet; check this machine's clock".to_owned()
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "it is another name's; use the name that it was made for, or add this one to it"
                .to_owned()
        }
        other => excerpt(other.to_string().as_bytes()),
    }
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
