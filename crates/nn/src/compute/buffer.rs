//! Memory that is used again: first touch of fresh pages costs more than most of what is computed on them.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Numbers that are kept at most, 2 GiB; more goes back to the system.
const MOST_KEPT: usize = 512 << 20;

/// Memory that nobody uses, kept for the next.
static SPARE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Numbers in memory that is taken from, and given back to, a heap of the process. What they are at first is anything.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    numbers: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// So many numbers, whatever they are.
    pub fn of(len: usize) -> Self {
        let fitting = |spare: &mut Vec<Vec<f32>>| {
            let fits = spare.iter().enumerate().filter(|(_, v)| v.len() >= len && v.len() / 2 <= len);
            let best = fits.min_by_key(|(_, v)| v.len())?.0;
            Some(spare.swap_remove(best))
        };
        let spare = SPARE.lock().ok().and_then(|mut spare| fitting(&mut spare));
        Self { numbers: spare.unwrap_or_else(|| vec![0.0; len]), len }
    }

    /// So many zeros.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::of(len);
        buffer.fill(0.0);
        buffer
    }

    /// The numbers without their way back to the heap.
    pub fn into_vec(mut self) -> Vec<f32> {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.truncate(self.len);
        numbers
    }
}

/// Memory for others to use again.
impl From<Vec<f32>> for Buffer {
    fn from(numbers: Vec<f32>) -> Self {
        Self { len: numbers.len(), numbers }
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.numbers[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.len]
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::of(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let (Ok(mut spare), false) = (SPARE.lock(), self.numbers.is_empty()) {
            let kept: usize = spare.iter().map(Vec::len).sum();
            if kept + self.numbers.len() <= MOST_KEPT {
                spare.push(std::mem::take(&mut self.numbers));
            }
        }
    }
}
