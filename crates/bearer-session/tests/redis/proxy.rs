//! [`Proxy`]: a network between a store and its Redis, which can break.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Network {
    Up,
    /// Closed, and refused when new.
    Closed,
    /// Open, and nothing comes through any more, whatever happens later: as where a firewall forgot the connection.
    Silent,
    /// Closed when the next answer comes, which gets lost. New ones are as good as ever.
    Unheard,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    /// Where new connections lead.
    port: watch::Sender<u16>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (network, state) = watch::channel(Network::Up);
        let (port, leads) = watch::channel(port);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, *leads.borrow(), state.clone()));
            }
        });
        Self { address, network, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// As where a name is given to another server.
    pub(crate) fn lead_to(&self, port: u16) {
        self.port.send_replace(port);
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn connect(client: TcpStream, port: u16, mut network: watch::Receiver<Network>) {
    let now = *network.borrow_and_update();
    if now == Network::Closed {
        return;
    }
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (state, was_up) = (network.clone(), now != Network::Unheard);
    let comes_through = move || !(was_up && *state.borrow() == Network::Unheard);
    let pumps = async {
        tokio::select! {
            () = pump(from_client, to_server, || true) => {}
            () = pump(from_server, to_client, comes_through) => {}
        }
    };
    let broken = async {
        if now == Network::Silent {
            return Network::Silent;
        }
        loop {
            if network.changed().await.is_err() {
                return Network::Closed;
            }
            match *network.borrow_and_update() {
                Network::Up | Network::Unheard => {}
                broken => return broken,
            }
        }
    };
    // What is not polled moves nothing, and is open as long as it is there.
    let mut pumps = Box::pin(pumps);
    let broken = tokio::select! {
        biased;
        broken = broken => broken,
        () = &mut pumps => Network::Closed,
    };
    if broken == Network::Silent {
        std::future::pending::<()>().await;
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, comes_through: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !comes_through() || to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}
