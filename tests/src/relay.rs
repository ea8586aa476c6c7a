//! A line between a node and a server: whole, cut, mute (requests arrive, answers do not) or held (answers arrive later).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use crate::faults::Random;
use crate::ports::listener;

/// How the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Passes everything on.
    Whole,
    /// Closes every connection, and each new one.
    Cut,
    /// Passes on what is asked and nothing of what is answered; such connections are closed when that is over.
    Mute,
    /// Passes requests on, and holds the answers until the line is set to something else.
    Held,
}

/// The line.
pub struct Relay {
    port: u16,
    line: watch::Sender<Line>,
    swallowed: Arc<AtomicUsize>,
}

/// How the line is, for what passes answers on, and how many of them it has swallowed.
#[derive(Clone)]
struct Answers {
    line: watch::Receiver<Line>,
    swallowed: Arc<AtomicUsize>,
}

// === impl Relay ===

impl Relay {
    /// To a port of this machine.
    pub async fn to(port: u16) -> Relay {
        let listener = listener();
        let own = listener.local_addr().expect("bound").port();
        let (line, seen) = watch::channel(Line::Whole);
        let swallowed = Arc::new(AtomicUsize::new(0));
        let answers = Answers {
            line: seen,
            swallowed: swallowed.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let answers = answers.clone();
                tokio::spawn(async move {
                    if *answers.line.borrow() != Line::Cut
                        && let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await
                    {
                        pass_both(client, server, answers).await;
                    }
                });
            }
        });
        Relay {
            port: own,
            line,
            swallowed,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many pieces of answers were swallowed so far.
    pub fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::SeqCst)
    }

    /// From now on.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn pass_both(client: TcpStream, server: TcpStream, answers: Answers) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut over = answers.line.clone();
    let was = *over.borrow();
    let ended = async {
        let is_over =
            |line: &Line| *line == Line::Cut || (was == Line::Mute && *line == Line::Whole);
        over.wait_for(is_over).await.ok();
    };
    tokio::select! {
        () = ended => {}
        // If one side closes its connection, both connections are closed.
        () = pass(from_client, to_server, None) => {}
        () = pass(from_server, to_client, Some(answers)) => {}
    }
}

/// `muted`: of answers, which may be held or swallowed.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut muted: Option<Answers>) {
    let mut buffer = vec![0; 64 << 10];
    let mut swallowed = false;
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(answers) = &mut muted {
            let line = &mut answers.line;
            line.wait_for(|line| *line != Line::Held).await.ok();
        }
        match muted.as_ref().map(|answers| *answers.line.borrow()) {
            Some(Line::Mute) => {
                swallowed = true;
                if let Some(answers) = &muted {
                    answers.swallowed.fetch_add(1, Ordering::SeqCst);
                }
            }
            _ if swallowed => return,
            _ if to.write_all(&buffer[..read]).await.is_err() => return,
            _ => {}
        }
    }
    to.shutdown().await.ok();
}

/// A line that delays what it passes on; now and then it cuts a connection, or one direction of it. Where it listens.
pub async fn bad_line(to: u16) -> u16 {
    let listener = listener();
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let random = Arc::new(Mutex::new(Random::new(11)));
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
                continue;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass_badly(from_client, to_server, random.clone()));
            tokio::spawn(pass_badly(from_server, to_client, random.clone()));
        }
    });
    port
}

async fn pass_badly(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, random: Arc<Mutex<Random>>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let chance = random.lock().expect("the lock is not poisoned").below(400);
        // Dropping the writing half closes one direction; the other goes on until its end notices.
        if chance == 0
            || to
                .write_all(&buffer[..if chance == 1 { read / 2 } else { read }])
                .await
                .is_err()
            || chance == 1
        {
            return;
        }
        if chance < 20 {
            tokio::time::sleep(Duration::from_millis(chance as u64)).await;
        }
    }
}
