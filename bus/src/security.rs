//! Who a client is, and what it may do.

#[allow(dead_code)] // the rest is for the APIs that make rules
pub(crate) mod acl;
#[allow(dead_code)]
pub(crate) mod authorizer;
pub(crate) mod principal;

pub(crate) use acl::{Operation, Resource};
pub(crate) use authorizer::Authorizer;
pub(crate) use principal::Principal;
