//! One lock for each name, as long as somebody has it.
//!
//! Takes a name, gives its lock. Never: two locks of one name at a time, or names that nobody needs any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

#[derive(Debug)]
pub(super) struct Keyed<T>(Mutex<HashMap<String, Weak<T>>>);

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Keyed<T> {
    pub(super) fn of(&self, name: &str) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| one.strong_count() > 0);
        if let Some(one) = all.get(name).and_then(Weak::upgrade) {
            return one;
        }
        let one = Arc::<T>::default();
        all.insert(name.to_owned(), Arc::downgrade(&one));
        one
    }
}
