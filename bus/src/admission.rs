//! How many clients may be connected: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts who is connected; clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    shared: Arc<Mutex<Connected>>,
    most: usize,
    most_per_address: Option<usize>,
}

#[derive(Debug, Default)]
struct Connected {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is turned away: the setting that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) &'static str);

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Mutex<Connected>>,
    address: IpAddr,
}

impl Admission {
    pub(crate) fn new(most: usize, most_per_address: Option<usize>) -> Self {
        Self { shared: Arc::default(), most, most_per_address }
    }

    /// A place for a client from `address`, if there is one.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, Full> {
        let address = address.to_canonical();
        let mut connected = self.shared.lock();
        if connected.all >= self.most {
            return Err(Full("bus.connections_max"));
        }
        let here = connected.by_address.get(&address).copied().unwrap_or(0);
        if self.most_per_address.is_some_and(|most| here >= most) {
            return Err(Full("bus.connections_per_address_max"));
        }
        connected.all += 1;
        connected.by_address.insert(address, here + 1);
        Ok(Place { shared: Arc::clone(&self.shared), address })
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.shared.lock().all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connected = self.shared.lock();
        connected.all = connected.all.saturating_sub(1);
        let left = connected.by_address.get_mut(&self.address).map(|here| {
            *here = here.saturating_sub(1);
            *here
        });
        if left == Some(0) {
            connected.by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_places_come_back() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let admission = Admission::new(3, Some(2));
        let first = admission.admit(address("10.0.0.1")).unwrap();
        let _second = admission.admit(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(admission.admit(address("10.0.0.1")).unwrap_err(), Full("bus.connections_per_address_max"));
        let third = admission.admit(address("::1")).unwrap();
        assert_eq!(admission.admit(address("::2")).unwrap_err(), Full("bus.connections_max"));
        drop((first, third));
        assert!(admission.admit(address("10.0.0.1")).is_ok());
        assert_eq!(admission.count(), 1);
        assert_eq!(admission.shared.lock().by_address.len(), 1);
    }
}
