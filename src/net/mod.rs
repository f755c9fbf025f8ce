//! The one HTTP and websocket transport of the house.
//!
//! Clients are written against [`Transport`] and [`SocketConnector`]. Live, these reach the network; embedded, they
//! call the offline world's router in this process; in tests they wrap either in faults. A client cannot tell which.

pub mod http_transport;
pub mod retry;
pub mod socket;

pub use http_transport::{Answer, Body, NetError, Transport};
pub use retry::RetryPolicy;
pub use socket::{Socket, SocketConnector, SocketMessage};
