//! Opening the port, with an answer for each way in which that fails at the first start.

use std::io::ErrorKind;

use tokio::net::{TcpListener, lookup_host};

/// Listens on `host` and `port` (0 picks a free one). The error is one line that names the remedy.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, String> {
    let addresses: Vec<_> = lookup_host((host, port))
        .await
        .map_err(|error| {
            format!(
                "cannot listen: the host {host:?} is unknown ({error}); \
                 set HOST to an address of this machine, such as 0.0.0.0 or 127.0.0.1"
            )
        })?
        .collect();
    // Sets SO_REUSEADDR, so that a restart need not wait for the last run's connections to be forgotten.
    TcpListener::bind(&*addresses).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "cannot listen on {host}:{port}: the port is in use; find by whom with `ss -ltnp 'sport = :{port}'`, \
             or take another: `PORT={} aidlc-auth`",
            port.checked_add(1).unwrap_or(8001)
        ),
        ErrorKind::PermissionDenied => format!(
            "cannot listen on {host}:{port}: not permitted (ports below 1024 are for root); \
             take a higher one, such as `PORT=8001 aidlc-auth`, or grant CAP_NET_BIND_SERVICE"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "cannot listen on {host}:{port}: this machine does not have that address; \
             see `ip address`, or set HOST to 0.0.0.0 for all of them"
        ),
        _ => format!("cannot listen on {host}:{port}: {error}; check HOST and PORT"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_both_remedies() {
        let first = bind("127.0.0.1", 0).await.unwrap();
        let port = first.local_addr().unwrap().port();

        let error = bind("127.0.0.1", port).await.unwrap_err();

        assert!(
            error.contains(&format!("127.0.0.1:{port}: the port is in use")),
            "{error}"
        );
        assert!(error.contains("ss -ltnp"), "{error}");
        assert!(error.contains("PORT="), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused_with_the_remedy() {
        // TEST-NET-1 (RFC 5737): nobody's address.
        let error = bind("192.0.2.1", 0).await.unwrap_err();
        assert!(error.contains("does not have that address"), "{error}");
        assert!(error.contains("HOST"), "{error}");
    }

    #[tokio::test]
    async fn an_unknown_host_is_refused_with_the_remedy() {
        // `.invalid` never resolves (RFC 6761 §6.4).
        let error = bind("nowhere.invalid", 0).await.unwrap_err();
        assert!(error.contains("\"nowhere.invalid\" is unknown"), "{error}");
        assert!(error.contains("HOST"), "{error}");
    }

    #[tokio::test]
    async fn a_port_just_closed_can_be_taken_again() {
        let first = bind("127.0.0.1", 0).await.unwrap();
        let address = first.local_addr().unwrap();
        // A connection that the server closes first leaves its port in TIME_WAIT.
        let client = tokio::net::TcpStream::connect(address).await.unwrap();
        let (accepted, _) = first.accept().await.unwrap();
        drop(accepted);
        drop(client);
        drop(first);

        assert!(bind("127.0.0.1", address.port()).await.is_ok());
    }
}
