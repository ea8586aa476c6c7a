//! Reads one body to its end, within the limit of a body and within the memory of an attempt.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use landfall_model::{MemoryBudget, MemoryExhausted, MemoryHold};

/// The most bytes of a request or response body.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum CollectError<E> {
    /// The body has more bytes than the limit, which is [`BODY_BYTES_MAX`] for handlers.
    #[error("the body has more bytes than the limit")]
    TooLarge,
    /// The body has more bytes than the attempt has memory left.
    #[error(transparent)]
    Memory(#[from] MemoryExhausted),
    /// The body ended too early.
    #[error("the body broke off: {0}")]
    Broken(E),
}

/// Reads a whole body. Each frame is counted before it is kept. The bytes count until the hold is
/// dropped.
pub async fn collect<B>(
    body: B,
    memory: Option<&MemoryBudget>,
) -> Result<(Bytes, Option<MemoryHold>), CollectError<B::Error>>
where
    B: Body<Data = Bytes>,
{
    collect_at_most(body, memory, BODY_BYTES_MAX).await
}

/// As [`collect`], with another limit.
pub(crate) async fn collect_at_most<B>(
    body: B,
    memory: Option<&MemoryBudget>,
    bytes_max: usize,
) -> Result<(Bytes, Option<MemoryHold>), CollectError<B::Error>>
where
    B: Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut held = memory.map(|memory| memory.hold(0)).transpose()?;
    let mut whole = BytesMut::new();

    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(CollectError::Broken)?.into_data() else {
            continue;
        };

        if whole.len() + data.len() > bytes_max {
            return Err(CollectError::TooLarge);
        }

        if let Some(held) = &mut held {
            held.grow(data.len())?;
        }

        whole.extend_from_slice(&data);
    }

    Ok((whole.freeze(), held))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::Full;

    use super::*;

    async fn collected(
        bytes: usize,
        memory: &MemoryBudget,
    ) -> Result<usize, CollectError<Infallible>> {
        let (body, _held) = collect(Full::new(Bytes::from(vec![0; bytes])), Some(memory)).await?;
        Ok(body.len())
    }

    #[tokio::test]
    async fn bodies_count_as_memory() {
        let memory = MemoryBudget::new(100);
        assert_eq!(collected(60, &memory).await.unwrap(), 60);
        assert_eq!(
            collected(60, &memory).await.unwrap(),
            60,
            "the first body was given back"
        );
        assert!(matches!(
            collected(101, &memory).await,
            Err(CollectError::Memory(_))
        ));
        assert_eq!(memory.peak(), 60);
    }

    #[tokio::test]
    async fn one_body_is_limited() {
        let memory = MemoryBudget::new(usize::MAX);
        assert!(matches!(
            collected(BODY_BYTES_MAX + 1, &memory).await,
            Err(CollectError::TooLarge)
        ));
        assert_eq!(
            collected(BODY_BYTES_MAX, &memory).await.unwrap(),
            BODY_BYTES_MAX
        );
    }
}
