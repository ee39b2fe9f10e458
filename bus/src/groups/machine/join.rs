//! How members come in: first, again, with a place of their own; and which protocol they agree on.

use std::time::Instant;

use logmill_bus_protocol::ResponseError;
use tokio::sync::oneshot;

use super::super::member::{Member, protocols_bytes};
use super::super::messages::{Join, Joined, JoinedMember, Reply, Synced};
use super::{BYTES_MAX, Group, MEMBERS_MAX, METADATA_BYTES_MAX, Phase, SESSION_LEAST, SESSION_MOST};

enum Admitted {
    /// It is in this generation already.
    Present(Joined),
    /// The member with this id waits for the next.
    Waits(String),
}

impl Group {
    /// A client joins; `fresh_id` is its id if it needs one.
    pub(crate) fn join(&mut self, join: &Join, fresh_id: String, now: Instant, reply: oneshot::Sender<Joined>) {
        match self.admit(join, fresh_id, now) {
            Err((error, member_id)) => self.outbox.push(Reply::Joined(reply, Joined::refused(error, member_id))),
            Ok(Admitted::Present(answer)) => self.outbox.push(Reply::Joined(reply, answer)),
            Ok(Admitted::Waits(id)) => {
                if let Some(member) = self.members.get_mut(&id)
                    && let Some(earlier) = member.joining.replace(reply)
                {
                    // The same client asked again: its first question is answered by the second's fate.
                    drop(earlier);
                }
                self.rebalance(now);
            }
        }
    }

    fn admit(&mut self, join: &Join, fresh_id: String, now: Instant) -> Result<Admitted, (i16, String)> {
        let refused = |error: ResponseError| (error.code(), join.member_id.clone());
        if !(SESSION_LEAST..=SESSION_MOST).contains(&join.session) {
            return Err(refused(ResponseError::InvalidSessionTimeout));
        }
        if protocols_bytes(&join.protocols) > METADATA_BYTES_MAX {
            return Err(refused(ResponseError::GroupMaxSizeReached));
        }
        if join.protocol_type.is_empty() || join.protocols.is_empty() || !self.agrees_with(join) {
            return Err(refused(ResponseError::InconsistentGroupProtocol));
        }
        let known_instance = join.instance_id.as_ref().and_then(|instance| self.static_member(instance));
        if join.member_id.is_empty() {
            if let Some(old_id) = known_instance {
                return Ok(self.replace_static(&old_id, fresh_id, join, now));
            }
            if self.members.len() + self.pending.len() >= MEMBERS_MAX || self.bytes() > BYTES_MAX {
                return Err(refused(ResponseError::GroupMaxSizeReached));
            }
            if join.takes_id && join.instance_id.is_none() {
                self.pending.insert(fresh_id.clone(), now + join.session);
                return Err((ResponseError::MemberIdRequired.code(), fresh_id));
            }
            return Ok(self.add(fresh_id, join, now));
        }
        if self.pending.remove(&join.member_id).is_some() {
            return Ok(self.add(join.member_id.clone(), join, now));
        }
        if let Some(instance_holder) = known_instance
            && instance_holder != join.member_id
        {
            return Err(refused(ResponseError::FencedInstanceId));
        }
        let Some(member) = self.members.get(&join.member_id) else {
            return Err(refused(ResponseError::UnknownMemberId));
        };
        let same_protocols = member.protocols == join.protocols;
        let leads = self.leader.as_ref() == Some(&join.member_id);
        let present = match self.phase {
            Phase::Syncing { .. } => same_protocols,
            // A leader that joins again wants a new generation: something it reads has changed.
            Phase::Stable => same_protocols && !leads,
            Phase::Joining { .. } | Phase::Empty => false,
        };
        if let Some(member) = self.members.get_mut(&join.member_id) {
            member.update(join, now);
        }
        if present {
            return Ok(Admitted::Present(self.joined(&join.member_id)));
        }
        Ok(Admitted::Waits(join.member_id.clone()))
    }

    /// Whether everybody could still agree on a protocol with this one.
    fn agrees_with(&self, join: &Join) -> bool {
        let others: Vec<_> = self
            .members
            .values()
            .filter(|member| member.id != join.member_id)
            .filter(|member| join.instance_id.is_none() || member.instance_id != join.instance_id)
            .collect();
        if others.is_empty() {
            return true;
        }
        self.protocol_type.as_deref().is_none_or(|kind| kind == join.protocol_type)
            && join.protocols.iter().any(|(name, _)| others.iter().all(|member| member.supports(name)))
    }

    pub(super) fn static_member(&self, instance: &str) -> Option<String> {
        let is_it = |member: &&Member| member.instance_id.as_deref() == Some(instance);
        self.members.values().find(is_it).map(|member| member.id.clone())
    }

    fn add(&mut self, id: String, join: &Join, now: Instant) -> Admitted {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.members.insert(id.clone(), Member::new(id.clone(), join, now));
        Admitted::Waits(id)
    }

    /// A static member has restarted: it takes its old place, and whoever still uses the old id is fenced off.
    fn replace_static(&mut self, old_id: &str, new_id: String, join: &Join, now: Instant) -> Admitted {
        let Some(mut member) = self.members.remove(old_id) else { return self.add(new_id, join, now) };
        let fenced = ResponseError::FencedInstanceId.code();
        if let Some(waiting) = member.joining.take() {
            self.outbox.push(Reply::Joined(waiting, Joined::refused(fenced, old_id.to_owned())));
        }
        if let Some(waiting) = member.syncing.take() {
            self.outbox.push(Reply::Synced(waiting, Synced::refused(fenced)));
        }
        member.id.clone_from(&new_id);
        member.update(join, now);
        self.members.insert(new_id.clone(), member);
        let led = self.leader.as_deref() == Some(old_id);
        if led {
            self.leader = Some(new_id.clone());
        }
        if self.phase != Phase::Stable || self.vote() != self.protocol {
            return Admitted::Waits(new_id);
        }
        // Nothing changes for the others: it gets the assignment that its place has.
        self.changed = true;
        let mut answer = self.joined(&new_id);
        if led && join.may_skip_assignment {
            answer.skip_assignment = true;
        } else if led {
            // An old client that believes to lead would assign anew: it is told that its former self leads.
            old_id.clone_into(&mut answer.leader);
            answer.members.clear();
        }
        Admitted::Present(answer)
    }

    pub(super) fn joined(&self, id: &str) -> Joined {
        let leads = self.leader.as_deref() == Some(id);
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |member: &Member| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        Joined {
            error: 0,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: if leads { self.members.values().map(member).collect() } else { Vec::new() },
        }
    }

    /// The protocol that all support and most like best.
    pub(super) fn vote(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let shared: Vec<&String> = first
            .protocols
            .iter()
            .map(|(name, _)| name)
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let votes_for = |name: &str| {
            let favourite = |member: &Member| {
                member.protocols.iter().map(|(name, _)| name).find(|name| shared.contains(name)).cloned()
            };
            self.members.values().filter(|member| favourite(member).as_deref() == Some(name)).count()
        };
        // The first of those with most votes: reversed, because the last of equals wins.
        shared.iter().rev().max_by_key(|name| votes_for(name)).map(|name| (*name).clone())
    }
}
