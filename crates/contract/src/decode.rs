//! Decoders of foreign bytes that may panic on damaged ones.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

static HUSHED: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

/// Runs a decoder; missing if it panicked. While one runs, panics are not printed, on whatever thread the decoder
/// works, because the caller says in one line what is wrong with which file.
pub fn caught<T>(decode: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if HUSHED.load(SeqCst) == 0 {
                print(info);
            }
        }));
    });
    HUSHED.fetch_add(1, SeqCst);
    let outcome = panic::catch_unwind(AssertUnwindSafe(decode));
    HUSHED.fetch_sub(1, SeqCst);
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_missing_value_also_for_two_decoders_at_once() {
        let one = std::thread::spawn(|| caught(|| -> u8 { panic!("damaged") }));
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(one.join().ok(), Some(None));
        assert_eq!(HUSHED.load(SeqCst), 0);
    }
}
