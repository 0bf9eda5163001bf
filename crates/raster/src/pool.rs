//! Things that are used again, because making them anew costs more than what is done with them: memory above all.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Things that wait for their next use; the last one used is taken first, while it is still in the processor's caches.
pub struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One that was given back, if there is one.
    pub fn take(&self) -> Option<T> {
        self.waiting().pop()
    }

    /// Keeps one for later.
    pub fn give(&self, thing: T) {
        self.waiting().push(thing);
    }

    /// A panic of another holder leaves a list that is still right.
    fn waiting(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
