//! Sets and removes passwords of users. The password itself never comes here: the client has hashed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use logmill_bus_protocol::ResponseError;
use logmill_bus_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use logmill_bus_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use logmill_bus_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};

use super::describe_user_scram_credentials::code_of;
use super::{Call, text};
use crate::broker::Broker;
use crate::security::scram::{Credential, Hash, ITERATIONS_MAX, ITERATIONS_MIN};
use crate::security::{Operation, Resource};

/// Credentials at a time; each is a few hundred bytes.
const CREDENTIALS_MAX: usize = 100_000;
const NAME_BYTES_MAX: usize = 255;
const SALT_BYTES_MAX: usize = 1024;

type Change = Result<(Hash, Option<Credential>), (ResponseError, String)>;

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let allowed = broker.check(call, Operation::Alter, Resource::Cluster);
    let mut changes: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for removed in request.deletions {
        let change = hash_of(removed.mechanism).map(|hash| (hash, None));
        changes.entry(removed.name.to_string()).or_default().push(change);
    }
    for set in request.upsertions {
        let change = hash_of(set.mechanism).and_then(|hash| Ok((hash, Some(credential(hash, &set)?))));
        changes.entry(set.name.to_string()).or_default().push(change);
    }
    let mut results = Vec::with_capacity(changes.len());
    for (user, changes) in changes {
        let outcome = match allowed {
            Ok(()) => change(broker, &user, changes).await,
            Err(refused) => Err((refused, "not authorized".to_owned())),
        };
        let result = AlterUserScramCredentialsResult::default().with_user(text(&*user)).with_error_message(None);
        results.push(match outcome {
            Ok(()) => {
                tracing::info!(principal = %call.principal, user, "the credentials of a user were changed");
                result
            }
            Err((error, message)) => result.with_error_code(error.code()).with_error_message(Some(text(message))),
        });
    }
    AlterUserScramCredentialsResponse::default().with_results(results)
}

/// All changes of one user, or none.
async fn change(broker: &Broker, user: &str, changes: Vec<Change>) -> Result<(), (ResponseError, String)> {
    let refuse = |error: ResponseError, message: &str| Err((error, message.to_owned()));
    let users = &broker.logins.users;
    let changes = changes.into_iter().collect::<Result<Vec<_>, _>>()?;
    if user.is_empty() || user.len() > NAME_BYTES_MAX || user.chars().any(char::is_control) {
        return refuse(ResponseError::UnacceptableCredential, "the name can't be a user's");
    }
    if users.is_configured(user) {
        return refuse(ResponseError::UnacceptableCredential, "the user's password stands in `bus.users`");
    }
    for hash in Hash::ALL {
        if changes.iter().filter(|(of, _)| *of == hash).count() > 1 {
            return refuse(ResponseError::DuplicateResource, "one credential is changed twice");
        }
    }
    let known = users.made().remove(user).unwrap_or_default();
    let missing = |hash: &Hash| !known.iter().any(|(known, _)| known == hash);
    if changes.iter().any(|(hash, credential)| credential.is_none() && missing(hash)) {
        return refuse(ResponseError::ResourceNotFound, "the user has no such credential");
    }
    if users.made_count().saturating_add(changes.len()) > CREDENTIALS_MAX {
        return refuse(ResponseError::PolicyViolation, "there are too many users");
    }
    let failed = |error: crate::state_file::NotWritten| (ResponseError::KafkaStorageError, error.to_string());
    users.change(user, changes).await.map_err(failed)
}

fn hash_of(mechanism: i8) -> Result<Hash, (ResponseError, String)> {
    let known = Hash::ALL.into_iter().find(|hash| code_of(*hash) == mechanism);
    known.ok_or_else(|| (ResponseError::UnsupportedSaslMechanism, "there is no such mechanism".to_owned()))
}

fn credential(hash: Hash, set: &ScramCredentialUpsertion) -> Result<Credential, (ResponseError, String)> {
    let refuse = |message: String| Err((ResponseError::UnacceptableCredential, message));
    let iterations = u32::try_from(set.iterations).unwrap_or(0);
    if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
        return refuse(format!("{} iterations are not between {ITERATIONS_MIN} and {ITERATIONS_MAX}", set.iterations));
    }
    if set.salt.is_empty() || set.salt.len() > SALT_BYTES_MAX || set.salted_password.len() != hash.len() {
        return refuse("the salt or the salted password has a wrong length".to_owned());
    }
    Ok(Credential::of_salted(hash, &set.salted_password, set.salt.to_vec(), iterations))
}
