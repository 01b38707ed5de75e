//! Who is about to use an image, so that it is not removed under their hands.
//!
//! Takes names of images, gives holds (many at a time) and claims (one, without any hold). Never: both at once.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::keyed::Keyed;

/// Keeps an image from being removed; clones share it.
#[derive(Clone, Debug)]
pub struct Hold {
    _shared: Arc<OwnedRwLockReadGuard<()>>,
}

/// Who holds an image makes no difference to what it is.
impl PartialEq for Hold {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Hold {}

/// The right to remove an image: nobody is about to use it, and who wants to waits.
#[derive(Debug)]
pub struct Claim {
    _only: OwnedRwLockWriteGuard<()>,
}

/// All holds and claims.
#[derive(Debug, Default)]
pub(super) struct Holds(Keyed<RwLock<()>>);

impl Holds {
    /// Waits for the end of a claim.
    pub(super) async fn hold(&self, image: &str) -> Hold {
        Hold {
            _shared: Arc::new(self.0.of(image).read_owned().await),
        }
    }

    /// Nothing where somebody holds the image.
    pub(super) fn claim(&self, image: &str) -> Option<Claim> {
        let only = self.0.of(image).try_write_owned().ok()?;
        Some(Claim { _only: only })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_somebody_holds_is_not_claimed() {
        let holds = Holds::default();
        let (first, second) = (holds.hold("a@1").await, holds.hold("a@1").await);
        let third = first.clone();
        assert!(holds.claim("b@2").is_some());
        for hold in [first, second, third] {
            assert!(holds.claim("a@1").is_none());
            drop(hold);
        }
        assert!(holds.claim("a@1").is_some());
    }

    #[tokio::test]
    async fn who_wants_a_claimed_image_waits() {
        let holds = Holds::default();
        let claim = holds.claim("a@1").unwrap();
        assert!(holds.claim("a@1").is_none());
        let mut held = Box::pin(holds.hold("a@1"));
        assert!(held.as_mut().now_or_never().is_none());
        assert!(holds.hold("b@2").now_or_never().is_some());
        drop(claim);
        assert!(held.now_or_never().is_some());
    }
}
