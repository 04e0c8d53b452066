//! How many requests are under way, over all and of each tenant.
//!
//! Up to half of the bound nobody is asked for a share. Beyond, a tenant is held to its share of
//! what all tenants with requests under way, and one more, would get: so there is room for the next
//! one, and whoever floods is refused before the bodies it sends are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tenants::TenantState;

/// Beyond the bound, for what is not work on data: an operator can look, and act, while the server
/// sheds load.
const MANAGEMENT: usize = 64;

/// Counts of requests under way.
pub struct Shares {
    max: AtomicUsize,
    all: AtomicUsize,
    /// Tenants with at least one.
    tenants: AtomicUsize,
}

/// A request under way. Dropped when it no longer is.
pub struct Arrived(Arc<Shares>);

/// One of a tenant.
pub struct Slot {
    shares: Arc<Shares>,
    tenant: Arc<TenantState>,
}

/// Why a request has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The server has all it can take.
    Server,
    /// The server has much, and this tenant its share of it.
    Share,
    /// The tenant has what an operator gave it.
    Quota(usize),
}

impl Shares {
    /// At most `max` requests under way.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max: AtomicUsize::new(max),
            all: AtomicUsize::new(0),
            tenants: AtomicUsize::new(0),
        })
    }

    /// From now on at most `max`.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Counts a request, if there is room. `manages`: it is not work on data.
    pub fn arrive(self: &Arc<Self>, manages: bool) -> Result<Arrived, Full> {
        let max = if manages { self.max() + MANAGEMENT } else { self.max() };
        let before = self.all.fetch_add(1, Ordering::Relaxed);
        // Taken back when dropped.
        let arrived = Arrived(Arc::clone(self));
        if before >= max { Err(Full::Server) } else { Ok(arrived) }
    }

    /// Counts it as the tenant's, if that has not its share.
    pub fn enter(self: &Arc<Self>, tenant: &Arc<TenantState>) -> Result<Slot, Full> {
        let mine = tenant.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let before = if mine == 1 { self.tenants.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let slot = Slot { shares: Arc::clone(self), tenant: Arc::clone(tenant) };
        if let Some(quota) = tenant.max_in_flight().filter(|quota| mine > *quota) {
            return Err(Full::Quota(quota));
        }
        let max = self.max();
        if self.in_flight() * 2 <= max {
            return Ok(slot);
        }
        let tenants = if mine == 1 { before + 1 } else { self.tenants.load(Ordering::Relaxed) };
        let share = share_of(max, tenants, tenant.weight());
        if mine > share { Err(Full::Share) } else { Ok(slot) }
    }
}

/// What a tenant of this weight may have of `max`, with `tenants` of them there, itself included,
/// room for one more, and all others of weight 1. At least one.
fn share_of(max: usize, tenants: usize, weight: u32) -> usize {
    let weight = weight as usize;
    (max * weight / (tenants + weight)).max(1)
}

impl Drop for Arrived {
    fn drop(&mut self) {
        self.0.all.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.tenant.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.shares.tenants.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tenants::tests::tenant;
    use super::*;

    #[test]
    fn a_flood_leaves_room_for_the_next_tenant() {
        let shares = Shares::new(8);
        let (flood, quiet) = (tenant(1), tenant(1));
        let enter = |of: &Arc<TenantState>| {
            let arrived = shares.arrive(false)?;
            shares.enter(of).map(|slot| (slot, arrived))
        };
        let mut held: Vec<_> = (0..4).map(|_| enter(&flood).ok().unwrap()).collect();
        assert_eq!(enter(&flood).err(), Some(Full::Share));
        assert_eq!(shares.in_flight(), 4, "what is refused is not under way");
        held.push(enter(&quiet).ok().unwrap());
        held.push(enter(&quiet).ok().unwrap());
        assert_eq!(enter(&quiet).err(), Some(Full::Share), "a third of eight, rounded down");
        held.clear();
        assert_eq!((shares.in_flight(), shares.tenants.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_full_server_still_lets_itself_be_managed() {
        let shares = Shares::new(2);
        let held: Vec<_> = (0..2).map(|_| shares.arrive(false).ok().unwrap()).collect();
        assert_eq!(shares.arrive(false).err(), Some(Full::Server));
        assert!(shares.arrive(true).is_ok());
        drop(held);
        assert!(shares.arrive(false).is_ok());
    }

    #[test]
    fn a_weight_is_worth_as_many_tenants() {
        assert_eq!(share_of(100, 1, 1), 50);
        assert_eq!(share_of(100, 3, 1), 25);
        assert_eq!(share_of(100, 3, 3), 50);
        assert_eq!(share_of(1, 9, 1), 1);
    }

    proptest! {
        /// Against counts of what is held.
        #[test]
        fn nobody_below_its_share_is_refused_while_there_is_room(
            steps in prop::collection::vec((0_usize..5, any::<bool>()), 1..300)
        ) {
            const MAX: usize = 16;
            let shares = Shares::new(MAX);
            let tenants: Vec<_> = (0..5).map(|_| tenant(1)).collect();
            let mut held: Vec<Vec<(Slot, Arrived)>> = (0..5).map(|_| Vec::new()).collect();
            for (who, comes) in steps {
                if !comes {
                    held[who].pop();
                    continue;
                }
                let all: usize = held.iter().map(Vec::len).sum();
                let mine = held[who].len();
                let active = held.iter().filter(|it| !it.is_empty()).count() + usize::from(mine == 0);
                let expected = if all >= MAX {
                    Some(Full::Server)
                } else if (all + 1) * 2 > MAX && mine + 1 > MAX / (active + 1) {
                    Some(Full::Share)
                } else {
                    None
                };
                let got = shares.arrive(false).and_then(|arrived| {
                    shares.enter(&tenants[who]).map(|slot| (slot, arrived))
                });
                prop_assert_eq!(got.as_ref().err().copied(), expected);
                held[who].extend(got);
                prop_assert!(shares.in_flight() <= MAX);
            }
        }
    }
}
