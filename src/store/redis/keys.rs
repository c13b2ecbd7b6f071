//! What keys are called, and which of them stand together.
//!
//! A cluster keeps keys together that share a hash tag, the part in braces, and a step may touch only
//! such keys. So everything that one step counts shares one: that of one of sixteen partitions for
//! addresses, that of the widest network for clients. Which partition an address is in must never
//! change: its record would be lost with it.

use std::net::{IpAddr, Ipv6Addr};

use crate::model::challenge::Purpose;
use crate::model::email_address::EmailAddress;
use crate::model::limit::networks;

/// How many partitions addresses are spread over: more than a cluster usually has servers.
pub(super) const PARTITIONS: u32 = 16;

/// One of the sixteen: with the letters that are owed from there.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Partition {
    base: String,
}

impl Partition {
    /// All of them, in order.
    pub(super) fn all(prefix: &str) -> Vec<Self> {
        (0..PARTITIONS)
            .map(|partition| Self::numbered(prefix, partition))
            .collect()
    }

    /// The partition of an address: that of its mailbox, whose budget its aliases share.
    pub(super) fn of(prefix: &str, address: &EmailAddress) -> Self {
        let hash = fnv_1a(address.mailbox().as_bytes());
        // By its upper bits, which every byte has been mixed into.
        Self::numbered(prefix, hash >> (u32::BITS - PARTITIONS.ilog2()))
    }

    fn numbered(prefix: &str, partition: u32) -> Self {
        Self {
            base: format!("{prefix}{{p{partition}}}:"),
        }
    }

    /// The ids of letters that are owed, by when they are due.
    pub(super) fn outbox(&self) -> String {
        format!("{}outbox", self.base)
    }

    /// The letters themselves, by id.
    pub(super) fn letters(&self) -> String {
        format!("{}letters", self.base)
    }

    /// This partition's share of a ceiling of the service.
    pub(super) fn service(&self, what: &str) -> String {
        format!("{}service:{what}", self.base)
    }

    /// The record of an address and purpose.
    pub(super) fn challenge(&self, address: &str, purpose: Purpose) -> String {
        format!("{}challenge:{}:{address}", self.base, purpose.as_str())
    }
}

/// The keys of one address.
pub(super) struct AddressKeys<'a> {
    address: &'a EmailAddress,
    pub(super) partition: Partition,
}

impl<'a> AddressKeys<'a> {
    pub(super) fn new(prefix: &str, address: &'a EmailAddress) -> Self {
        Self {
            address,
            partition: Partition::of(prefix, address),
        }
    }

    pub(super) fn challenge(&self, purpose: Purpose) -> String {
        self.partition.challenge(self.address.normal(), purpose)
    }

    pub(super) fn sends(&self, purpose: Purpose) -> String {
        self.budget(&format!("sends:{}", purpose.as_str()))
    }

    pub(super) fn guesses(&self) -> String {
        self.budget("guesses")
    }

    pub(super) fn passwords(&self) -> String {
        self.budget("passwords")
    }

    pub(super) fn mailbox(&self) -> String {
        format!("{}mailbox:{}", self.partition.base, self.address.mailbox())
    }

    /// Every record of the address.
    pub(super) fn challenges(&self) -> Vec<String> {
        Purpose::ALL.map(|purpose| self.challenge(purpose)).into()
    }

    /// Every budget of the address.
    pub(super) fn budgets(&self) -> Vec<String> {
        let mut keys = vec![self.guesses(), self.passwords(), self.mailbox()];
        keys.extend(Purpose::ALL.map(|purpose| self.sends(purpose)));
        keys
    }

    fn budget(&self, what: &str) -> String {
        format!("{}{what}:{}", self.partition.base, self.address.normal())
    }
}

/// The keys that a client is counted under, closest network first, with how many times as much each
/// may. They share the tag of the widest one.
pub(super) fn client_keys(prefix: &str, what: &str, client: IpAddr) -> Vec<(String, u32)> {
    let widest = match client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).to_string()
        }
    };
    let key = |network| format!("{prefix}{{c:{widest}}}:{what}:{network}");
    let networks = networks(client).into_iter();
    networks
        .map(|(network, factor)| (key(network), factor))
        .collect()
}

/// FNV-1a, 32 bits: short, and the same in every release and language.
fn fnv_1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(typed: &str) -> EmailAddress {
        EmailAddress::parse(typed).unwrap()
    }

    /// What a cluster hashes (Redis cluster specification, "Hash tags").
    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').unwrap();
        rest.split_once('}').unwrap().0
    }

    #[test]
    fn everything_of_an_address_is_in_one_partition() {
        for typed in ["ada@example.org", "{}@example.org", "a}b{c+}{@example.org"] {
            let address = address(typed);
            let keys = AddressKeys::new("auth:", &address);
            let mut all = keys.challenges();
            all.extend(keys.budgets());
            all.extend([keys.partition.outbox(), keys.partition.letters()]);
            all.extend([
                keys.partition.service("code"),
                keys.partition.service("guess"),
            ]);
            let partition = tag(&all[0]).to_owned();
            assert!(partition.starts_with('p'), "{typed}: {partition}");
            assert!(
                all.iter().all(|key| tag(key) == partition),
                "{typed}: {all:?}"
            );
            let count = all.len();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count, "{typed}: one key for two things");
        }
    }

    #[test]
    fn aliases_share_a_partition_and_addresses_are_spread() {
        let partition = |typed: &str| Partition::of("", &address(typed)).base;
        assert_eq!(
            partition("a.da+shop@example.org"),
            partition("ada@example.org")
        );
        let mut counts = [0; PARTITIONS as usize];
        for n in 0..1600 {
            let partition = partition(&format!("user{n}@example.org"));
            let number: usize = tag(&partition)[1..].parse().unwrap();
            counts[number] += 1;
        }
        assert!(
            counts.iter().all(|count| (50..200).contains(count)),
            "{counts:?}"
        );
    }

    /// Anything else here, and codes that were mailed by the release before are not found by this one.
    #[test]
    fn partitions_are_those_of_every_release() {
        let partition = |typed: &str| Partition::of("aidlc-auth:", &address(typed)).base;
        assert_eq!(partition("ada@example.org"), "aidlc-auth:{p13}:");
        assert_eq!(partition("eve@example.org"), "aidlc-auth:{p0}:");
        // The vectors of the algorithm's authors.
        assert_eq!(fnv_1a(b""), 0x811c_9dc5);
        assert_eq!(fnv_1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn all_networks_of_a_client_stand_together() {
        let keys = |client: &str| client_keys("auth:", "code", client.parse().unwrap());
        assert_eq!(
            keys("192.0.2.1"),
            [("auth:{c:192.0.2.1}:code:192.0.2.1".into(), 1)]
        );
        let six = keys("2001:db8:1:203:4::5");
        let (names, factors): (Vec<_>, Vec<_>) = six.into_iter().unzip();
        assert_eq!(factors, [1, 4, 16]);
        assert!(
            names.iter().all(|key| tag(key) == "c:2001:db8:1::"),
            "{names:?}"
        );
        // Whoever shares the widest network has to meet there.
        let neighbour = keys("2001:db8:1:ffff::1");
        assert_eq!(neighbour[2].0, names[2]);
    }
}
