//! The answer to one request, as far as it has gone out.
//!
//! Takes heads, pieces of bodies and ends, gives messages: in parts where the gateway takes parts, whole otherwise.
//! Never: a second head, something after the end, or a body in memory that is larger than the limit.

use bytes::Bytes;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{Header, HttpResponse, Response, ResponseEnd, ResponseHead};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::mpsc;

use crate::forward::folded;

/// What is answered to a request that was taken back.
pub(super) const TAKEN_BACK: &str = "the request was taken back";
/// Largest part of a body, in bytes.
const PART: usize = 256 * 1024;

/// The stream is gone.
#[derive(Debug)]
pub(super) struct Gone;

/// The answer to one request.
pub(super) struct Reply {
    id: String,
    out: mpsc::Sender<Response>,
    stage: Stage,
}

/// What has gone out.
enum Stage {
    /// Nothing; `parts` says whether the gateway takes parts.
    Nothing { parts: bool },
    /// The head; parts follow.
    Head,
    /// Nothing, but the head and what came of the body are held.
    Held(HttpResponse),
    /// All.
    Over,
}

impl Reply {
    pub(super) fn new(id: String, out: mpsc::Sender<Response>, parts: bool) -> Self {
        let stage = Stage::Nothing { parts };
        Self { id, out, stage }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The largest body that can be answered, in bytes, if there is a limit; `whole` is that of a whole message.
    pub(super) fn limit(&self, whole: usize) -> Option<usize> {
        match self.stage {
            Stage::Nothing { parts: false } | Stage::Held(_) => Some(whole),
            Stage::Nothing { parts: true } | Stage::Head | Stage::Over => None,
        }
    }

    pub(super) async fn head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(), Gone> {
        let status = i64::from(status.as_u16());
        if let Stage::Nothing { parts: true } = self.stage {
            let headers = headers.iter().map(|(name, value)| Header {
                name: name.as_str().to_owned(),
                value: value.as_bytes().to_vec(),
            });
            let headers = headers.collect();
            self.stage = Stage::Head;
            return self
                .say(Content::ResponseHead(ResponseHead { status, headers }))
                .await;
        }
        self.stage = Stage::Held(HttpResponse {
            status,
            headers: folded(headers),
            body: Vec::new(),
        });
        Ok(())
    }

    pub(super) async fn body(&mut self, mut bytes: Bytes) -> Result<(), Gone> {
        if let Stage::Held(response) = &mut self.stage {
            response.body.extend_from_slice(&bytes);
            return Ok(());
        }
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(PART));
            self.say(Content::ResponseChunk(part.to_vec())).await?;
        }
        Ok(())
    }

    /// The body is whole.
    pub(super) async fn end(&mut self) -> Result<(), Gone> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Head => self.say(Content::ResponseEnd(ResponseEnd::default())).await,
            Stage::Held(response) => self.say(Content::HttpResponse(response)).await,
            Stage::Nothing { .. } | Stage::Over => Ok(()),
        }
    }

    /// There is no answer, or no more of it.
    pub(super) async fn fail(&mut self, error: String) -> Result<(), Gone> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Head => self.say(Content::ResponseEnd(ResponseEnd { error })).await,
            Stage::Nothing { .. } | Stage::Held(_) => self.say(Content::Error(error)).await,
            Stage::Over => Ok(()),
        }
    }

    async fn say(&self, content: Content) -> Result<(), Gone> {
        let response = Response {
            id: self.id.clone(),
            content: Some(content),
        };
        self.out.send(response).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    async fn said(parts: bool, pieces: &[&'static [u8]], error: Option<&str>) -> Vec<Content> {
        let (out, mut heard) = mpsc::channel(100);
        let mut reply = Reply::new("r1".into(), out, parts);
        let mut headers = HeaderMap::new();
        headers.append("link", HeaderValue::from_static("a"));
        headers.append("link", HeaderValue::from_static("b"));
        reply.head(StatusCode::OK, &headers).await.unwrap();
        for piece in pieces {
            reply.body(Bytes::from_static(piece)).await.unwrap();
        }
        match error {
            Some(error) => reply.fail(error.into()).await.unwrap(),
            None => reply.end().await.unwrap(),
        }
        reply.fail("after the end".into()).await.unwrap();
        drop(reply);
        let mut all = Vec::new();
        while let Some(response) = heard.recv().await {
            assert_eq!(response.id, "r1");
            all.push(response.content.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn parts_have_one_head_bounded_pieces_and_one_end() {
        static LONG: [u8; PART * 2 + 1] = [7; PART * 2 + 1];
        let all = said(true, &[b"ab", b"", &LONG], None).await;
        let [
            Content::ResponseHead(head),
            bodies @ ..,
            Content::ResponseEnd(end),
        ] = &all[..]
        else {
            panic!("{} messages", all.len());
        };
        assert_eq!((head.status, head.headers.len()), (200, 2));
        assert_eq!(end.error, "");
        let sizes: Vec<_> = bodies
            .iter()
            .map(|body| match body {
                Content::ResponseChunk(part) => part.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [2, PART, PART, 1]);
    }

    #[tokio::test]
    async fn whole_answers_are_one_message() {
        let all = said(false, &[b"ab", b"cd"], None).await;
        let [Content::HttpResponse(response)] = &all[..] else {
            panic!("{all:?}")
        };
        assert_eq!((response.status, &response.body[..]), (200, &b"abcd"[..]));
        assert_eq!(response.headers["Link"], "a, b");
    }

    #[tokio::test]
    async fn a_failure_says_so_in_the_form_that_fits() {
        let all = said(true, &[b"ab"], Some("closed")).await;
        assert!(
            matches!(&all[2..], [Content::ResponseEnd(end)] if end.error == "closed"),
            "{all:?}"
        );
        let all = said(false, &[b"ab"], Some("closed")).await;
        assert!(
            matches!(&all[..], [Content::Error(error)] if error == "closed"),
            "{all:?}"
        );
    }
}
