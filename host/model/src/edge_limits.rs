//! The limits of the public listener.

use std::time::Duration;

/// The limits of the public listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Open connections.
    pub connections: usize,
    /// From accept to the end of the first request head, and from the first byte of each later head
    /// to its end.
    pub head_timeout: Duration,
    /// From one request to the first byte of the next on the same connection.
    pub keep_alive: Duration,
    /// From the request head to the end of its body.
    pub body_timeout: Duration,
    /// How long a request waits for a permit of its hook.
    pub queue_timeout: Duration,
    /// The most bytes of all request bodies in memory.
    pub body_memory: usize,
    /// The most bytes of all replies that clients have not read.
    pub response_memory: usize,
    /// The part of `response_memory` that one connection may use.
    pub connection_response_memory: usize,
    /// The fewest bytes per second that a client must read of an answer.
    pub response_rate: u64,
}
