//! Who a client is, and what it may do.

pub(crate) mod acl;
pub(crate) mod authorizer;
pub(crate) mod filter;
pub(crate) mod principal;

pub(crate) use acl::{Operation, Resource};
pub(crate) use authorizer::Authorizer;
pub(crate) use principal::Principal;
