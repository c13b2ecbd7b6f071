//! Whose request it is, behind any number of proxies. One function, for limits, logs and audit alike.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The client's address: the peer's, unless the peer is a trusted proxy; then the nearest address in
/// `X-Forwarded-For` that is not one.
///
/// `forwarded_for` is every `X-Forwarded-For` line in the order received (`headers.get_all(…).iter()`). Together
/// they are one list, walked from the right, because only what trusted proxies appended is worth anything: what
/// the client wrote itself stands further left. At an entry that is no address the walk stops at the last good one.
/// `Forwarded` and `X-Real-IP` are ignored: two sources of one fact can be played against each other.
/// IPv4-mapped addresses become IPv4, so that a client has one address only.
pub fn client_address<'a, L>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a L>,
    trusted: &[IpNet],
) -> IpAddr
where
    L: AsRef<[u8]> + ?Sized + 'a,
{
    let mut nearest = peer.to_canonical();
    let entries = forwarded_for
        .rev()
        .flat_map(|line| line.as_ref().rsplit(|byte| *byte == b','));
    for entry in entries {
        if !is_trusted(nearest, trusted) {
            break;
        }
        let Some(address) = parse(entry) else { break };
        nearest = address;
    }
    nearest
}

/// Whether an address belongs to one of our own proxies.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// One entry: an address as nginx and an ALB write it (`192.0.2.1`, `2001:db8::1`), or one with its port, as an ALB
/// does when told to keep ports (`192.0.2.1:5678`, `[2001:db8::1]:5678`). Brackets without a port pass too.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let unbracketed = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .and_then(|inner| inner.parse().ok().map(IpAddr::V6));
    entry
        .parse()
        .ok()
        .or_else(|| {
            entry
                .parse()
                .ok()
                .map(|with_port: SocketAddr| with_port.ip())
        })
        .or(unbracketed)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn nets() -> Vec<IpNet> {
        ["10.0.0.0/8", "fd00::/8"]
            .map(|net| net.parse().unwrap())
            .to_vec()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[track_caller]
    fn assert_client(peer: &str, lines: &[&str], expected: &str) {
        let client = client_address(ip(peer), lines.iter().copied(), &nets());
        assert_eq!(client, ip(expected), "from {peer} with {lines:?}");
    }

    #[test]
    fn a_stranger_cannot_name_itself() {
        assert_client("203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        assert_client("203.0.113.9", &["10.0.0.1, 198.51.100.1"], "203.0.113.9");
    }

    #[test]
    fn what_a_client_wrote_left_of_its_address_is_not_read() {
        assert_client("10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9");
        assert_client(
            "10.0.0.1",
            &["1.1.1.1", "203.0.113.9, 10.9.9.9"],
            "203.0.113.9",
        );
        assert_client("10.0.0.1", &["203.0.113.9", "2.2.2.2"], "2.2.2.2");
    }

    #[test]
    fn a_malformed_entry_stops_at_the_last_good_one() {
        for bad in [
            "",
            " ",
            "unknown",
            "_hidden",
            "1.2.3",
            "01.2.3.4",
            "1.2.3.4:99999",
            "fe80::1%eth0",
        ] {
            assert_client("10.0.0.1", &[bad], "10.0.0.1");
            assert_client("10.0.0.1", &[&format!("203.0.113.9, {bad}")], "10.0.0.1");
            assert_client(
                "10.0.0.1",
                &[&format!("203.0.113.9, {bad}, 10.0.0.7")],
                "10.0.0.7",
            );
        }
        for bad in [
            "[1.2.3.4]",
            "[::1",
            "::1]",
            "1.2.3.4:",
            "[2001:db8::1]:x",
            "1.2.3.4 5.6.7.8",
        ] {
            assert_client("10.0.0.1", &[bad], "10.0.0.1");
        }
    }

    #[test]
    fn without_the_header_it_is_the_peer() {
        assert_client("203.0.113.9", &[], "203.0.113.9");
        assert_client("10.0.0.1", &[], "10.0.0.1");
    }

    #[test]
    fn a_chain_of_trusted_proxies_ends_at_its_first() {
        assert_client("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        assert_client(
            "fd00::1",
            &["2001:db8::5", "fd00::2,10.0.0.2"],
            "2001:db8::5",
        );
    }

    #[test]
    fn ipv4_mapped_is_ipv4_wherever_it_stands() {
        assert_client("::ffff:203.0.113.9", &[], "203.0.113.9");
        assert_client("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        assert_client("10.0.0.1", &["203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9");
        assert_client("10.0.0.1", &["[::ffff:203.0.113.9]:80"], "203.0.113.9");
    }

    #[test]
    fn ports_are_dropped() {
        assert_client("10.0.0.1", &["203.0.113.9:5678"], "203.0.113.9");
        assert_client("10.0.0.1", &["[2001:db8::1]:5678"], "2001:db8::1");
        assert_client("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
        assert_client("10.0.0.1", &["\t203.0.113.9 ,10.0.0.2:443 "], "203.0.113.9");
    }

    #[test]
    fn lines_of_a_header_map_fit() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        let lines = headers.get_all("x-forwarded-for");
        assert_eq!(
            client_address(ip("10.0.0.1"), lines.iter(), &nets()),
            ip("203.0.113.9")
        );
    }

    /// Addresses outside the trusted nets, IPv6 ones included.
    fn stranger() -> impl Strategy<Value = IpAddr> {
        any::<IpAddr>()
            .prop_map(|address| address.to_canonical())
            .prop_filter("a stranger", |address| !is_trusted(*address, &nets()))
    }

    /// What a client may send: lines of rubbish, or of addresses that it would like to be taken for.
    fn forged_lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let rubbish = prop::collection::vec(any::<u8>(), 0..40);
        let addresses = prop::collection::vec(any::<IpAddr>(), 0..4).prop_map(|list| {
            list.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",")
                .into_bytes()
        });
        let inside =
            "10\\.[0-9]\\.[0-9]\\.[0-9](, 10\\.0\\.0\\.[0-9]){0,3}".prop_map(String::into_bytes);
        prop::collection::vec(prop_oneof![rubbish, addresses, inside], 0..4)
    }

    proptest! {
        #[test]
        fn a_peer_outside_the_trusted_set_is_always_itself(peer in stranger(), lines in forged_lines()) {
            prop_assert_eq!(client_address(peer, lines.iter(), &nets()), peer);
        }

        #[test]
        fn behind_trusted_hops_a_client_is_always_itself(
            client in stranger(),
            forged in forged_lines(),
            hops in 0_u8..4,
            own_line in any::<bool>(),
        ) {
            // Each proxy appends whom it saw, on a line of its own or on the last one.
            let mut seen = client.to_string();
            for hop in 0..hops {
                seen += &format!(", 10.0.0.{hop}");
            }
            let mut lines = forged;
            match lines.last_mut() {
                Some(last) if !own_line => last.extend(format!(", {seen}").bytes()),
                _ => lines.push(seen.into_bytes()),
            }
            prop_assert_eq!(client_address(ip("10.0.0.200"), lines.iter(), &nets()), client);
        }

        #[test]
        fn any_bytes_give_an_address_that_was_there(lines in forged_lines()) {
            let peer = ip("10.0.0.1");
            let client = client_address(peer, lines.iter(), &nets());
            let entries: Vec<_> = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).collect();
            prop_assert!(client == peer || entries.iter().any(|entry| parse(entry) == Some(client)));
        }

        #[test]
        fn with_nobody_trusted_the_header_is_never_read(peer in any::<IpAddr>(), lines in forged_lines()) {
            prop_assert_eq!(client_address(peer, lines.iter(), &[]), peer.to_canonical());
        }
    }
}
