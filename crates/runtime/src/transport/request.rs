//! The request message and its reply: path, headers, payload; empty or error text (runtime.md 7.1).
//! It must not interpret the payload.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// `<hex id>/<endpoint>`.
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) payload: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("Read error: {0}")]
    Io(#[from] std::io::Error),
    #[error("Read error: payload of {size} bytes is larger than the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("Invalid endpoint path")]
    Path,
    #[error("Read error: {part} of {size} bytes is longer than 65535")]
    TooLong { part: &'static str, size: usize },
}

impl Request {
    pub(super) fn put(&self, output: &mut BytesMut) -> Result<(), RequestError> {
        let headers = serde_json::to_vec(&self.headers).map_err(std::io::Error::from)?;
        let too_long = |part, size| RequestError::TooLong { part, size };
        let path_size =
            u16::try_from(self.path.len()).map_err(|_| too_long("endpoint path", self.path.len()))?;
        let headers_size = u16::try_from(headers.len()).map_err(|_| too_long("header map", headers.len()))?;
        let size = self.payload.len();
        let payload_size =
            u32::try_from(size).map_err(|_| RequestError::TooLarge { size, limit: u32::MAX as usize })?;
        output.reserve(8 + self.path.len() + headers.len() + size);
        output.put_u16(path_size);
        output.put_slice(self.path.as_bytes());
        output.put_u16(headers_size);
        output.put_slice(&headers);
        output.put_u32(payload_size);
        output.put_slice(&self.payload);
        Ok(())
    }

    /// Reads the next request; `None` when the peer closed between requests. A header map that is
    /// not a JSON object of texts reads as empty.
    pub(super) async fn read(
        input: &mut (impl AsyncRead + Unpin),
        limit: usize,
    ) -> Result<Option<Self>, RequestError> {
        let mut first = [0_u8; 1];
        if input.read(&mut first).await? == 0 {
            return Ok(None);
        }
        let path_size = u16::from_be_bytes([first[0], input.read_u8().await?]);
        let path = read_exactly(input, usize::from(path_size)).await?;
        let headers_size = input.read_u16().await?;
        let headers = read_exactly(input, usize::from(headers_size)).await?;
        let size = input.read_u32().await? as usize;
        if size > limit {
            return Err(RequestError::TooLarge { size, limit });
        }
        let payload = read_exactly(input, size).await?;
        let path = String::from_utf8(path).map_err(|_| RequestError::Path)?;
        if path.is_empty() {
            return Err(RequestError::Path);
        }
        let headers = serde_json::from_slice(&headers).unwrap_or_default();
        Ok(Some(Self { path, headers, payload: payload.into() }))
    }
}

async fn read_exactly(input: &mut (impl AsyncRead + Unpin), size: usize) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // Memory grows with what arrives, not with what is announced.
    input.take(size as u64).read_to_end(&mut content).await?;
    if content.len() < size {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(content)
}

/// A reply: length and text; an empty one means the request was accepted.
pub(super) fn put_reply(text: &str, output: &mut BytesMut) {
    output.put_u32(u32::try_from(text.len()).unwrap_or(0));
    output.put_slice(text.as_bytes());
}

/// Reads a reply; `None` is the acknowledgement.
pub(super) async fn read_reply(
    input: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<Option<String>, RequestError> {
    let size = input.read_u32().await? as usize;
    if size > limit {
        return Err(RequestError::TooLarge { size, limit });
    }
    let text = read_exactly(input, size).await?;
    Ok((!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Request {
        Request {
            path: "1f3a/generate".to_owned(),
            headers: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            payload: Bytes::from_static(b"pay"),
        }
    }

    const SAMPLE: &[u8] = b"\x00\x0d1f3a/generate\x00\x09{\"a\":\"b\"}\x00\x00\x00\x03pay";

    #[test]
    fn a_request_has_the_bytes_of_the_contract() {
        let mut bytes = BytesMut::new();
        sample().put(&mut bytes).unwrap();
        assert_eq!(bytes, SAMPLE);
    }

    #[tokio::test]
    async fn requests_are_read_one_after_the_other_until_a_clean_end() {
        let two = [SAMPLE, SAMPLE].concat();
        let mut input = two.as_slice();
        for _ in 0..2 {
            assert_eq!(Request::read(&mut input, 10).await.unwrap().unwrap(), sample());
        }
        assert!(Request::read(&mut input, 10).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn oversized_cut_and_nameless_requests_are_refused() {
        assert!(matches!(
            Request::read(&mut &SAMPLE[..], 2).await,
            Err(RequestError::TooLarge { size: 3, limit: 2 })
        ));
        assert!(matches!(Request::read(&mut &SAMPLE[..20], 10).await, Err(RequestError::Io(_))));
        let nameless = b"\x00\x00\x00\x02{}\x00\x00\x00\x00";
        assert!(matches!(Request::read(&mut &nameless[..], 10).await, Err(RequestError::Path)));
    }

    #[tokio::test]
    async fn an_empty_reply_is_the_acknowledgement_and_a_text_the_error() {
        let mut bytes = BytesMut::new();
        put_reply("", &mut bytes);
        put_reply("Unknown endpoint: x", &mut bytes);
        assert_eq!(&bytes[..8], b"\0\0\0\0\0\0\0\x13");
        let mut input = &bytes[..];
        assert_eq!(read_reply(&mut input, 100).await.unwrap(), None);
        assert_eq!(read_reply(&mut input, 100).await.unwrap().as_deref(), Some("Unknown endpoint: x"));
    }
}
