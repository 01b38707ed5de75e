//! Lines of the audit trail for what people do.
//!
//! Takes who did what to which thing, writes the line into the same transaction. Never: a value that was set.

use crate::app::App;
use crate::auth::Principal;
use crate::store::audit::{self, Deed};
use crate::store::{StoreError, Tx};

/// Who does it, as one of the handles knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a>(pub(super) &'a App, pub(super) &'a Principal);

/// Writes the line; `element` is the part of the thing that it is about, if it is about one.
pub(super) async fn record(
    By(app, who): By<'_>,
    tx: &mut Tx,
    (action, subject): (&'static str, String),
    element: Option<&str>,
) -> Result<(), StoreError> {
    let mut detail = serde_json::json!({ "key": who.id() });
    if let Some(element) = element {
        detail["element"] = element.into();
    }
    let deed = Deed {
        actor: &who.actor(),
        action,
        subject,
        detail,
    };
    audit::record(&app.store, tx, deed).await
}
