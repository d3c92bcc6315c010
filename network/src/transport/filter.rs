//! A transport that does not dial private addresses.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
};

use crate::address::is_dialable;

/// Passes everything through, except dials to addresses that may not be dialled.
#[derive(Debug)]
pub(crate) struct AddressFilter<T> {
    inner: T,
    allow_private: bool,
}

impl<T> AddressFilter<T> {
    pub(crate) fn new(inner: T, allow_private: bool) -> Self {
        Self {
            inner,
            allow_private,
        }
    }
}

impl<T> Transport for AddressFilter<T>
where
    T: Transport + Unpin,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        if is_dialable(&address, self.allow_private) {
            self.inner.dial(address, options)
        } else {
            tracing::debug!(%address, "not dialled: a private address");
            Err(TransportError::MultiaddrNotSupported(address))
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::{Endpoint, transport::PortUse};
    use libp2p::tcp;

    use super::*;

    #[tokio::test]
    async fn private_addresses_are_dialled_only_when_allowed() {
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dial = |allow_private, address: &str| {
            let inner = tcp::tokio::Transport::new(tcp::Config::default());
            let mut filter = AddressFilter::new(inner, allow_private);
            // The dial itself would begin only when the future is polled.
            filter.dial(address.parse().unwrap(), options).is_ok()
        };
        assert!(!dial(false, "/ip4/127.0.0.1/tcp/1"));
        assert!(!dial(false, "/ip4/100.64.0.1/tcp/1"));
        assert!(dial(true, "/ip4/127.0.0.1/tcp/1"));
        assert!(dial(false, "/ip4/8.8.8.8/tcp/1"));
    }
}
