//! Listing and changing who may do what.

use super::Admin;
use crate::acl::{Acl, AclFilter};
use crate::{ClientError, raw_admin};

impl Admin {
    /// The ACLs that `filter` lets through. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, has no ACLs, or refuses to show them.
    pub fn acls(&self, filter: &AclFilter) -> Result<Vec<Acl>, ClientError> {
        let mut acls =
            raw_admin::describe_acls(&self.raw(), filter).map_err(ClientError::refused("can't list the ACLs"))?;
        acls.sort();
        Ok(acls)
    }

    /// Adds one; one that is there already stays. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub fn add_acl(&self, acl: &Acl) -> Result<(), ClientError> {
        raw_admin::create_acl(&self.raw(), acl).map_err(ClientError::refused("can't add the ACL"))
    }

    /// Removes those that `filter` lets through, and says which they were. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub fn remove_acls(&self, filter: &AclFilter) -> Result<Vec<Acl>, ClientError> {
        let mut acls =
            raw_admin::delete_acls(&self.raw(), filter).map_err(ClientError::refused("can't remove ACLs"))?;
        acls.sort();
        Ok(acls)
    }
}
