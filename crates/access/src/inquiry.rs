//! In: an authenticated principal, and an amphora that they may reach.
//! Out: the right to put the gateway's own question to that amphora, and the question.
//! Never: a right for whoever may not reach it; a byte of an operator's in the question.

use std::sync::Arc;

use crate::amphora::Amphora;
use crate::decide::Circumstances;
use crate::landing::{Ask, Landing, UpstreamRequest, upstream_request};
use crate::policy::Policy;
use crate::principal::Principal;
use crate::probe::{LandingProbe, Nonce};

/// The right to ask one amphora, on behalf of one principal, which addresses are in its namespace. Only
/// [`Policy::inquiry`] makes one. It is no [`Grant`](crate::Grant): nothing of the principal's can be run with it.
///
/// ```compile_fail,E0451
/// use ampgate_access::Inquiry;
/// fn forge(from: Inquiry, of: std::sync::Arc<ampgate_access::Amphora>) -> Inquiry {
///     Inquiry { amphora: of, ..from }
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Inquiry {
    principal: Principal,
    amphora: Arc<Amphora>,
}

impl Inquiry {
    /// On whose behalf.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Which amphora.
    pub fn amphora(&self) -> &Arc<Amphora> {
        &self.amphora
    }
}

impl Policy {
    /// The right to ask this amphora, for whoever may connect to it; none for anybody else.
    pub fn inquiry(
        &self,
        principal: &Principal,
        amphora: &Arc<Amphora>,
        circumstances: &Circumstances,
    ) -> Option<Inquiry> {
        self.may_connect(principal, amphora, circumstances)
            .then(|| Inquiry {
                principal: principal.clone(),
                amphora: Arc::clone(amphora),
            })
    }
}

/// What is asked, of every amphora the same: the addresses inside the namespace. The probe tells why there is no answer
/// (no sudo, no namespace) as it tells an operator.
pub fn question(nonce: Nonce) -> (UpstreamRequest, LandingProbe) {
    let ask = Ask::Exec(b"ip -o addr show".to_vec());
    upstream_request(Landing::Netns, &ask, false, nonce)
}
