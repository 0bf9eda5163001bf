//! Two fields on one grid, known on some of its cells.

/// Night light and score of the cells that count, and where they lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldPair {
    /// Rows of the grid.
    pub height: usize,
    /// Columns of the grid.
    pub width: usize,
    /// The cells that count, ascending.
    pub cells: Vec<usize>,
    /// One value a cell that counts.
    pub xs: Vec<f64>,
    /// One value a cell that counts.
    pub ys: Vec<f64>,
}

impl FieldPair {
    /// The same cells with other values.
    ///
    /// # Panics
    /// If there is not one value a cell.
    #[must_use]
    pub fn with(&self, xs: Vec<f64>, ys: Vec<f64>) -> FieldPair {
        assert_eq!((xs.len(), ys.len()), (self.cells.len(), self.cells.len()), "one value a cell");
        FieldPair { xs, ys, cells: self.cells.clone(), ..*self }
    }

    /// Values on the whole grid, less their mean; 0 where nothing is known.
    #[must_use]
    pub fn spread(&self, values: &[f64]) -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mut all = vec![0.0; self.height * self.width];
        self.cells.iter().zip(values).for_each(|(&cell, value)| all[cell] = value - mean);
        all
    }

    /// Means over blocks of `side` x `side` cells; a block counts where at least half of its cells do.
    #[must_use]
    pub fn coarser(&self, side: usize) -> FieldPair {
        let (height, width) = (self.height.div_ceil(side), self.width.div_ceil(side));
        let mut sums = vec![(0.0, 0.0, 0_usize); height * width];
        for ((&cell, x), y) in self.cells.iter().zip(&self.xs).zip(&self.ys) {
            let block = cell / self.width / side * width + cell % self.width / side;
            sums[block] = (sums[block].0 + x, sums[block].1 + y, sums[block].2 + 1);
        }
        let mut coarse = FieldPair { height, width, ..FieldPair::default() };
        for (block, (x, y, n)) in sums.into_iter().enumerate().filter(|(_, sum)| 2 * sum.2 >= side * side) {
            coarse.cells.push(block);
            coarse.xs.push(x / n as f64);
            coarse.ys.push(y / n as f64);
        }
        coarse
    }

    /// The pairs of x at a place with y at another, `down` rows and `across` columns away.
    #[must_use]
    pub fn shifted(&self, down: i64, across: i64) -> (Vec<f64>, Vec<f64>) {
        let mut place = vec![usize::MAX; self.height * self.width];
        self.cells.iter().enumerate().for_each(|(i, &cell)| place[cell] = i);
        let mut pairs = (Vec::new(), Vec::new());
        for (i, &cell) in self.cells.iter().enumerate() {
            let (row, column) = ((cell / self.width) as i64 + down, (cell % self.width) as i64 + across);
            if row < 0 || column < 0 || row >= self.height as i64 || column >= self.width as i64 {
                continue;
            }
            let other = place[row as usize * self.width + column as usize];
            if other != usize::MAX {
                pairs.0.push(self.xs[i]);
                pairs.1.push(self.ys[other]);
            }
        }
        pairs
    }
}
