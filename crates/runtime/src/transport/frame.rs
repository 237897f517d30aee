//! The two-part frame: lengths of header and body, checksum, header, body (runtime.md 7.1).
//! It must not interpret what it carries.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// Bytes before the header: three big-endian u64.
const PREFIX: usize = 24;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Bytes,
    pub(super) body: Bytes,
}

impl Frame {
    pub(super) fn header(header: impl Into<Bytes>) -> Self {
        Self { header: header.into(), body: Bytes::new() }
    }

    pub(super) fn body(body: impl Into<Bytes>) -> Self {
        Self { header: Bytes::new(), body: body.into() }
    }

    /// The frame's bytes; checksum 0, which every reader accepts.
    pub(super) fn put(&self, output: &mut BytesMut) {
        output.reserve(PREFIX + self.header.len() + self.body.len());
        output.put_u64(self.header.len() as u64);
        output.put_u64(self.body.len() as u64);
        output.put_u64(0);
        output.put_slice(&self.header);
        output.put_slice(&self.body);
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("frame of {size} bytes is larger than the limit of {limit} (DYN_TCP_MAX_MESSAGE_SIZE)")]
    TooLarge { size: u64, limit: usize },
    #[error("connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("connection closed inside a frame")]
    Truncated,
}

/// Reads and writes frames up to a size.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameCodec {
    pub(super) limit: usize,
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if input.len() < PREFIX {
            return Ok(None);
        }
        let mut prefix = &input[..16];
        let (header, body) = (prefix.get_u64(), prefix.get_u64());
        let size = header.saturating_add(body);
        let too_large = FrameError::TooLarge { size, limit: self.limit };
        let (Ok(header), Ok(size)) = (usize::try_from(header), usize::try_from(size)) else {
            return Err(too_large);
        };
        if size > self.limit {
            return Err(too_large);
        }
        if input.len() < PREFIX + size {
            input.reserve(PREFIX + size - input.len());
            return Ok(None);
        }
        input.advance(PREFIX);
        let mut content = input.split_to(size).freeze();
        let header = content.split_to(header);
        Ok(Some(Frame { header, body: content }))
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        match self.decode(input)? {
            None if !input.is_empty() => Err(FrameError::Truncated),
            frame => Ok(frame),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, output: &mut BytesMut) -> Result<(), FrameError> {
        frame.put(output);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_three_big_endian_numbers_then_header_then_body() {
        let mut bytes = BytesMut::new();
        Frame { header: Bytes::from_static(b"ab"), body: Bytes::from_static(b"xyz") }.put(&mut bytes);
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
        expected.extend_from_slice(b"abxyz");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_before_its_content_arrives() {
        let mut codec = FrameCodec { limit: 10 };
        let mut bytes = BytesMut::new();
        bytes.put_u64(6);
        bytes.put_u64(5);
        bytes.put_u64(0);
        assert!(matches!(codec.decode(&mut bytes), Err(FrameError::TooLarge { size: 11, limit: 10 })));
        let mut bytes = BytesMut::new();
        bytes.put_u64(u64::MAX);
        bytes.put_u64(u64::MAX);
        bytes.put_u64(0);
        assert!(codec.decode(&mut bytes).is_err());
    }

    #[test]
    fn a_cut_frame_is_an_error_and_a_clean_end_is_not() {
        let mut codec = FrameCodec { limit: 100 };
        assert!(codec.decode_eof(&mut BytesMut::new()).unwrap().is_none());
        let mut bytes = BytesMut::from(&[0_u8; 5][..]);
        assert!(matches!(codec.decode_eof(&mut bytes), Err(FrameError::Truncated)));
    }

    proptest! {
        #[test]
        fn frames_survive_any_split_of_the_bytes(
            parts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40),
                                                proptest::collection::vec(any::<u8>(), 0..40)), 1..5),
            step in 1_usize..60,
        ) {
            let frames: Vec<Frame> = parts.into_iter().map(|(header, body)| Frame {
                header: header.into(), body: body.into() }).collect();
            let mut bytes = BytesMut::new();
            for frame in &frames {
                frame.put(&mut bytes);
            }
            let mut codec = FrameCodec { limit: 1000 };
            let (mut input, mut read) = (BytesMut::new(), Vec::new());
            for piece in bytes.chunks(step) {
                input.extend_from_slice(piece);
                while let Some(frame) = codec.decode(&mut input).unwrap() {
                    read.push(frame);
                }
            }
            prop_assert_eq!(read, frames);
        }
    }
}
