//! What one stream may say at which moment. Pure.
//!
//! Takes the messages of an agent, gives what each means. Never: a message taken for a request that it does not name, or
//! a stream free for another request before the one before has ended.

use bytes::Bytes;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{HttpResponse, Response, ResponseHead};

/// One stream's side of the conversation.
#[derive(Debug, Default)]
pub(super) struct Session {
    phase: Phase,
    /// The ping that was not answered yet.
    ping: Option<String>,
    /// Whether parts were agreed on.
    parts: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Free.
    #[default]
    Idle,
    /// A request was sent.
    Asked(String),
    /// The head of its answer came.
    Answering(String),
    /// Nobody waits for its answer any more.
    Abandoned(String),
}

/// What a message means.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// The whole answer; the stream is free.
    Whole(HttpResponse),
    /// No answer, and why; the stream is free.
    Refused(String),
    /// The head of an answer.
    Head(ResponseHead),
    /// More of its body.
    Chunk(Bytes),
    /// The end of its body; the stream is free.
    End,
    /// Its body is not whole, and why; the stream is free.
    Cut(String),
    /// What nobody waited for any more has ended; the stream is free.
    Free,
    /// A sign of life.
    Pong,
    /// More of what nobody waits for.
    Passed,
    /// Nothing that was asked for, or what was answered before.
    Stray,
    /// The stream can't be understood any more.
    Breach(&'static str),
}

impl Session {
    /// A new stream.
    pub(super) fn new(parts: bool) -> Self {
        Self {
            parts,
            ..Self::default()
        }
    }

    /// Whether a request may be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether a ping waits for its answer.
    pub(super) fn is_pinged(&self) -> bool {
        self.ping.is_some()
    }

    /// A request is sent on an idle stream.
    pub(super) fn ask(&mut self, id: &str) {
        debug_assert!(self.is_idle(), "one request at a time");
        self.phase = Phase::Asked(id.to_owned());
    }

    /// A ping is sent.
    pub(super) fn ping(&mut self, id: &str) {
        self.ping = Some(id.to_owned());
    }

    /// Nobody waits for the answer any more; gives the request's id if the agent can be told so.
    pub(super) fn abandon(&mut self) -> Option<String> {
        let phase = std::mem::take(&mut self.phase);
        match phase {
            Phase::Asked(id) | Phase::Answering(id) => {
                self.phase = Phase::Abandoned(id.clone());
                self.parts.then_some(id)
            }
            phase @ (Phase::Idle | Phase::Abandoned(_)) => {
                self.phase = phase;
                None
            }
        }
    }

    /// What a message means.
    pub(super) fn hear(&mut self, message: Response) -> Step {
        let Response { id, content } = message;
        if self.ping.as_ref() == Some(&id) {
            return self.hear_pong(content.as_ref());
        }
        match &self.phase {
            Phase::Asked(asked) if *asked == id => self.hear_answer(content),
            Phase::Answering(asked) if *asked == id => self.hear_more(content),
            Phase::Abandoned(asked) if *asked == id => self.hear_rest(content.as_ref()),
            _ => Step::Stray,
        }
    }

    fn hear_pong(&mut self, content: Option<&Content>) -> Step {
        match content {
            Some(Content::PingResponse(_)) => {
                self.ping = None;
                Step::Pong
            }
            _ => Step::Stray,
        }
    }

    fn hear_answer(&mut self, content: Option<Content>) -> Step {
        let Phase::Asked(id) = std::mem::take(&mut self.phase) else {
            return Step::Stray;
        };
        match content {
            Some(Content::HttpResponse(answer)) => Step::Whole(answer),
            Some(Content::Error(text)) => Step::Refused(text),
            Some(Content::ResponseHead(head)) if self.parts => {
                self.phase = Phase::Answering(id);
                Step::Head(head)
            }
            Some(Content::ResponseHead(_)) => Step::Breach("parts that were not agreed on"),
            Some(Content::ResponseChunk(_) | Content::ResponseEnd(_)) => {
                Step::Breach("a part before the head")
            }
            Some(Content::PingResponse(_)) => Step::Breach("a sign of life"),
            None => Step::Refused("it does not know this kind of request".to_owned()),
        }
    }

    fn hear_more(&mut self, content: Option<Content>) -> Step {
        match content {
            Some(Content::ResponseChunk(bytes)) => Step::Chunk(bytes.into()),
            Some(Content::ResponseEnd(end)) => {
                self.phase = Phase::Idle;
                match end.error.is_empty() {
                    true => Step::End,
                    false => Step::Cut(end.error),
                }
            }
            Some(Content::Error(text)) => {
                self.phase = Phase::Idle;
                Step::Cut(text)
            }
            Some(Content::HttpResponse(_) | Content::ResponseHead(_)) => {
                self.phase = Phase::Idle;
                Step::Breach("a second head")
            }
            Some(Content::PingResponse(_)) | None => {
                self.phase = Phase::Idle;
                Step::Breach("no part of it")
            }
        }
    }

    fn hear_rest(&mut self, content: Option<&Content>) -> Step {
        match content {
            Some(Content::ResponseHead(_) | Content::ResponseChunk(_)) => Step::Passed,
            Some(Content::PingResponse(_)) => Step::Stray,
            Some(Content::HttpResponse(_) | Content::Error(_) | Content::ResponseEnd(_)) | None => {
                self.phase = Phase::Idle;
                Step::Free
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_vcs_wire::wire::{PingResponse, ResponseEnd};
    use proptest::prelude::*;

    use super::*;

    fn content(kind: u8) -> Option<Content> {
        Some(match kind {
            0 => Content::HttpResponse(HttpResponse::default()),
            1 => Content::Error("no".to_owned()),
            2 => Content::ResponseHead(ResponseHead::default()),
            3 => Content::ResponseChunk(vec![1]),
            4 => Content::ResponseEnd(ResponseEnd::default()),
            5 => Content::ResponseEnd(ResponseEnd {
                error: "cut".to_owned(),
            }),
            6 => Content::PingResponse(PingResponse {}),
            _ => return None,
        })
    }

    #[derive(Clone, Debug)]
    enum Move {
        Ask,
        Abandon,
        Ping,
        /// How many requests ago the id was used, and what is said.
        Say(usize, u8),
        SayOfPing(u8),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            3 => Just(Move::Ask),
            1 => Just(Move::Abandon),
            1 => Just(Move::Ping),
            8 => (0_usize..3, 0_u8..8).prop_map(|(ago, kind)| Move::Say(ago, kind)),
            1 => (0_u8..8).prop_map(Move::SayOfPing),
        ];
        prop::collection::vec(one, 0..200)
    }

    /// Where a request stands, as somebody sees it who only knows the steps.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Seen {
        Asked,
        Head,
        Left,
    }

    proptest! {
        #[test]
        fn each_request_ends_once_and_hears_nothing_of_another(parts: bool, moves in moves()) {
            let mut session = Session::new(parts);
            let (mut asked, mut current): (usize, Option<Seen>) = (0, None);
            for one in moves {
                match one {
                    Move::Ask if current.is_none() => {
                        asked += 1;
                        session.ask(&asked.to_string());
                        current = Some(Seen::Asked);
                    }
                    Move::Ask => prop_assert!(!session.is_idle()),
                    Move::Abandon => {
                        let told = session.abandon();
                        prop_assert_eq!(told.is_some(), parts && matches!(current, Some(Seen::Asked | Seen::Head)));
                        current = current.map(|_| Seen::Left);
                    }
                    Move::Ping => session.ping("ping"),
                    Move::SayOfPing(kind) => {
                        let step = session.hear(Response { id: "ping".into(), content: content(kind) });
                        prop_assert!(matches!(step, Step::Pong | Step::Stray));
                    }
                    Move::Say(ago, kind) => {
                        let id = asked.saturating_sub(ago).to_string();
                        let step = session.hear(Response { id, content: content(kind) });
                        if ago > 0 || current.is_none() {
                            prop_assert_eq!(step, Step::Stray);
                            continue;
                        }
                        let before = current;
                        current = match step {
                            Step::Whole(_) | Step::Refused(_) => { prop_assert_eq!(before, Some(Seen::Asked)); None }
                            Step::Head(_) => { prop_assert_eq!(before, Some(Seen::Asked)); prop_assert!(parts); Some(Seen::Head) }
                            Step::Chunk(_) => { prop_assert_eq!(before, Some(Seen::Head)); before }
                            Step::End | Step::Cut(_) => { prop_assert_eq!(before, Some(Seen::Head)); None }
                            Step::Free => { prop_assert_eq!(before, Some(Seen::Left)); None }
                            Step::Passed | Step::Stray => { prop_assert_eq!(before, Some(Seen::Left)); before }
                            Step::Pong => { prop_assert!(false, "no ping was named"); before }
                            // The stream ends here.
                            Step::Breach(_) => return Ok(()),
                        };
                        prop_assert_eq!(session.is_idle(), current.is_none());
                    }
                }
            }
        }
    }

    #[test]
    fn parts_come_in_their_order_or_the_stream_ends() {
        let say = |session: &mut Session, kind| {
            session.hear(Response {
                id: "1".into(),
                content: content(kind),
            })
        };
        for (parts, kinds) in [
            (true, vec![3]),
            (true, vec![4]),
            (true, vec![2, 2]),
            (true, vec![2, 3, 0]),
            (true, vec![2, 6]),
            (false, vec![2]),
            (false, vec![3]),
            (true, vec![6]),
        ] {
            let mut session = Session::new(parts);
            session.ask("1");
            let last = kinds.iter().map(|kind| say(&mut session, *kind)).last();
            assert!(matches!(last, Some(Step::Breach(_))), "{kinds:?}: {last:?}");
        }
        let mut session = Session::new(true);
        session.ask("1");
        for kind in [2, 3, 3, 4] {
            assert!(!matches!(say(&mut session, kind), Step::Breach(_)));
        }
        assert!(session.is_idle());
        // A second answer is none.
        assert_eq!(say(&mut session, 0), Step::Stray);
    }
}
