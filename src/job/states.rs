//! One managed-state request on its way to the server and back.

use gantry_protocol::control::run::Lease;
use gantry_protocol::socket::StateOp;

use crate::link::Handle;
use crate::report::Chain;
use crate::session::{CallError, Session};

/// A managed-state answer on its way back to the worker.
pub(super) enum Carried {
    Answered,
    Refused(CallError),
}

/// Asks the server until it has decided, and gives its answer to the worker.
pub(super) async fn carry(
    session: &Session,
    lease: Lease,
    handle: &Handle,
    id: u64,
    op: &StateOp,
    body: Vec<u8>,
) -> Carried {
    match session.state(lease, op, body.into()).await {
        Ok(answer) => {
            handle.answer_state(id, answer.status, answer.body.to_vec());
            Carried::Answered
        }
        Err(error) => {
            let why = Chain(&error).to_string().into_bytes();
            handle.answer_state(id, 403, why);
            Carried::Refused(error)
        }
    }
}
