//! Who a client is, and what it may do.

pub(crate) mod acl;
pub(crate) mod authorizer;
pub(crate) mod filter;
mod oauth;
pub(crate) mod principal;
pub(crate) mod sasl;
pub(crate) mod scram;
pub(crate) mod session;
pub(crate) mod tls;
pub(crate) mod users;

pub(crate) use acl::{Operation, Resource};
pub(crate) use authorizer::Authorizer;
pub(crate) use oauth::Oauth;
pub(crate) use principal::Principal;
pub(crate) use sasl::Logins;
pub(crate) use session::Session;
pub(crate) use users::Users;
