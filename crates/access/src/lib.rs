//! In: names, files and keys as text and bytes; the time as an argument.
//! Out: who somebody is, what a name means, and whether they may land there.
//! Never: I/O, waiting, a clock, or a grant from anywhere but [`Policy::decide`].

mod fault;
mod names;
pub mod table;

mod amphora;
mod host_key;
mod status;
mod target;

mod keyline;
mod principal;
mod users;

mod decide;
mod explain;
mod files;
mod policy;
mod request;

mod addresses;
mod inquiry;
mod landing;
mod oversight;
mod probe;
mod quote;
mod transfer;

pub use addresses::addresses_of;
pub use amphora::{Amphora, LoadBalancer, Role, UpstreamAddr};
pub use decide::{Action, Circumstances, Grant, NO_SUCH_AMPHORA, Refusal, Why};
pub use explain::{Explanation, Reach};
pub use fault::Fault;
pub use files::FileAllowed;
pub use host_key::{HOST_KEY_TYPES, HostKey};
pub use inquiry::{Inquiry, question};
pub use landing::{
    Ask, Landing, NAMESPACE, Requested, UpstreamRequest, landing_of_user, upstream_request,
};
pub use names::{
    AmphoraId, GroupName, LoadBalancerId, LoginUser, NameError, ProjectId, SessionId, UserName,
};
pub use oversight::{Overseen, Oversight};
pub use policy::{Policy, RuleEffect, RuleRef, SCHEMA};
pub use principal::{KeystoneUser, Method, Principal, Projects, Subject};
pub use probe::{Fed, LandingFailure, LandingProbe, Nonce, Stream};
pub use quote::{quote, words_of_shell};
pub use status::{Standing, Status};
pub use target::{
    DirectName, LONGEST_TARGET, Member, TargetName, is_static_name, operator_of, parse_direct,
};
pub use transfer::Transfer;
pub use users::{AuthRefusal, SkFlags, User, Users};
